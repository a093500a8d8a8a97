package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	provisionerName = "agentsystem.dev/devcluster"
	claimedBy       = "volume.kubernetes.io/storage-provisioner"
	selectedNode    = "volume.kubernetes.io/selected-node"
	provisionedBy   = "pv.kubernetes.io/provisioned-by"
	callLimit       = 10 * time.Second
)

// provisioner makes a directory on the scheduled node for each claim of its StorageClass and
// removes it with the volume. All nodes share this machine's disk, so one process serves all;
// node affinity keeps a volume where a local disk would keep it.
type provisioner struct {
	client    kubernetes.Interface
	directory string
	claims    corelisters.PersistentVolumeClaimLister
	volumes   corelisters.PersistentVolumeLister
	queue     workqueue.TypedRateLimitingInterface[string]
}

func newProvisionerCommand() *cobra.Command {
	var kubeconfig, directory string
	command := &cobra.Command{
		Use:           "provisioner",
		Short:         "Makes directories for persistent volume claims",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			return runProvisioner(genericapiserver.SetupSignalContext(), kubeconfig, directory)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the apiserver")
	command.Flags().StringVar(&directory, "directory", "", "where volumes are kept")
	return command
}

func runProvisioner(ctx context.Context, kubeconfig, directory string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	claims := factory.Core().V1().PersistentVolumeClaims()
	volumes := factory.Core().V1().PersistentVolumes()
	p := &provisioner{
		client:    client,
		directory: directory,
		claims:    claims.Lister(),
		volumes:   volumes.Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.DefaultTypedControllerRateLimiter[string]()),
	}
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), volumes.Informer()} {
		if _, err := informer.AddEventHandler(p.enqueuer()); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go func() { <-ctx.Done(); p.queue.ShutDown() }()
	for p.next(ctx) {
	}
	return nil
}

// enqueuer puts claims in as "namespace/name" and volumes as "name".
func (p *provisioner) enqueuer() cache.ResourceEventHandler {
	add := func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			p.queue.Add(key)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    add,
		UpdateFunc: func(_, object any) { add(object) },
	}
}

func (p *provisioner) next(ctx context.Context) bool {
	key, over := p.queue.Get()
	if over {
		return false
	}
	defer p.queue.Done(key)
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := p.reconcile(ctx, key); err != nil {
		klog.ErrorS(err, "Not done, trying again", "key", key)
		p.queue.AddRateLimited(key)
		return true
	}
	p.queue.Forget(key)
	return true
}

func (p *provisioner) reconcile(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	if namespace == "" {
		volume, err := p.volumes.Get(name)
		if err != nil {
			return ignoreNotFound(err)
		}
		return p.release(ctx, volume)
	}
	claim, err := p.claims.PersistentVolumeClaims(namespace).Get(name)
	if err != nil {
		return ignoreNotFound(err)
	}
	return p.provision(ctx, claim)
}

// provision makes the directory first: a volume without one would keep its pod from starting.
func (p *provisioner) provision(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	node := claim.Annotations[selectedNode]
	ours := claim.Annotations[claimedBy] == provisionerName
	if !ours || node == "" || claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil {
		return nil
	}
	class, err := p.client.StorageV1().StorageClasses().Get(
		ctx, *claim.Spec.StorageClassName, meta.GetOptions{})
	if err != nil {
		return err
	}
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(p.directory, node, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	// for pods of any user; the umask keeps MkdirAll from doing it
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	volume := newVolume(name, node, path, claim)
	if class.ReclaimPolicy != nil {
		volume.Spec.PersistentVolumeReclaimPolicy = *class.ReclaimPolicy
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if err == nil {
		klog.InfoS("Made a volume", "volume", name, "node", node, "claim", klog.KObj(claim))
	}
	return ignoreExists(err)
}

func newVolume(name, node, path string, claim *core.PersistentVolumeClaim) *core.PersistentVolume {
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{provisionedBy: provisionerName},
		},
		Spec: core.PersistentVolumeSpec{
			Capacity: core.ResourceList{
				core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage],
			},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              *claim.Spec.StorageClassName,
			VolumeMode:                    claim.Spec.VolumeMode,
			PersistentVolumeSource: core.PersistentVolumeSource{
				Local: &core.LocalVolumeSource{Path: path},
			},
			ClaimRef: &core.ObjectReference{
				APIVersion: "v1",
				Kind:       "PersistentVolumeClaim",
				Namespace:  claim.Namespace,
				Name:       claim.Name,
				UID:        claim.UID,
			},
			NodeAffinity: onNode(node),
		},
	}
}

func onNode(node string) *core.VolumeNodeAffinity {
	return &core.VolumeNodeAffinity{Required: &core.NodeSelector{
		NodeSelectorTerms: []core.NodeSelectorTerm{{
			MatchExpressions: []core.NodeSelectorRequirement{{
				Key:      core.LabelHostname,
				Operator: core.NodeSelectorOpIn,
				Values:   []string{node},
			}},
		}},
	}}
}

// release removes the data before the object: the other way round a crash between the two
// would leave data that nothing names any more.
func (p *provisioner) release(ctx context.Context, volume *core.PersistentVolume) error {
	if volume.Annotations[provisionedBy] != provisionerName ||
		volume.Status.Phase != core.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
		return nil
	}
	path := volume.Spec.Local.Path
	if inside, err := filepath.Rel(p.directory, path); err != nil || !filepath.IsLocal(inside) {
		return fmt.Errorf("volume %s: %s is not below %s, not removed", volume.Name, path, p.directory)
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{
		Preconditions: meta.NewUIDPreconditions(string(volume.UID)),
	})
	if err == nil {
		klog.InfoS("Removed a volume", "volume", volume.Name)
	}
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
