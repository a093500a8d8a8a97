package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"agentsystem.dev/devcluster/policy"
)

const (
	nftLimit = 10 * time.Second
	nftRetry = time.Second
	// rules that somebody removed by hand come back after this long
	reloadAfter = time.Minute
	// The enforcer rests ten times as long as a load took: with thousands of pods coming and
	// going it takes a tenth of a CPU and is a second late, with few it is not late at all.
	restFactor = 10
	minRest    = 20 * time.Millisecond
	maxRest    = time.Second
)

// enforcer keeps one node's nftables rules equal to what the NetworkPolicies say. Rules live in
// the kernel: while this process is down or the apiserver is out of reach, the last ones stay.
type enforcer struct {
	node       string
	claims     string
	always     []netip.Addr
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
	changed    chan struct{}
	waiting    waiting
	loaded     string
	loadedAt   time.Time
}

type enforcerFlags struct {
	kubeconfig, node, directory string
	alwaysFrom                  []string
}

func newEnforcerCommand() *cobra.Command {
	var flags enforcerFlags
	command := &cobra.Command{
		Use:           "network-policies",
		Short:         "Enforces NetworkPolicies for the pods of one node",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			return runEnforcer(genericapiserver.SetupSignalContext(), flags)
		},
	}
	add := command.Flags()
	add.StringVar(&flags.kubeconfig, "kubeconfig", "", "how to reach the apiserver")
	add.StringVar(&flags.node, "node", "", "the node whose network namespace this is")
	add.StringVar(&flags.directory, "directory", "", "where the CNI plugin leaves what it knows")
	add.StringSliceVar(&flags.alwaysFrom, "always-from", nil, "addresses that no policy stops")
	return command
}

func runEnforcer(ctx context.Context, flags enforcerFlags) error {
	config, err := clientcmd.BuildConfigFromFlags("", flags.kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(
		client, 0, informers.WithTransform(withoutManagedFields))
	e := &enforcer{
		node:       flags.node,
		claims:     filepath.Join(flags.directory, "claims"),
		pods:       factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
		changed:    make(chan struct{}, 1),
	}
	for _, each := range flags.alwaysFrom {
		address, err := netip.ParseAddr(each)
		if err != nil {
			return err
		}
		e.always = append(e.always, address)
	}
	if err := os.MkdirAll(e.claims, 0o700); err != nil {
		return err
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(e.noticer()); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	// nothing is loaded before all is known: half of it would open what the last rules closed
	factory.WaitForCacheSync(ctx.Done())
	if err := e.serve(ctx, filepath.Join(flags.directory, "socket")); err != nil {
		return err
	}
	e.loop(ctx)
	return nil
}

// withoutManagedFields also drops what makes pods large, so that thousands of them stay small.
func withoutManagedFields(object any) (any, error) {
	if accessor, ok := object.(meta.Object); ok {
		accessor.SetManagedFields(nil)
		accessor.SetAnnotations(nil)
	}
	if pod, ok := object.(*core.Pod); ok {
		pod.Spec.Volumes = nil
		pod.Status.ContainerStatuses, pod.Status.Conditions = nil, nil
		for _, containers := range [][]core.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i, each := range containers {
				containers[i] = core.Container{Ports: each.Ports, RestartPolicy: each.RestartPolicy}
			}
		}
	}
	return object, nil
}

// noticer wakes the loop for changes that policies can see; most of a pod's are of no interest.
func (e *enforcer) noticer() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { e.notice() },
		DeleteFunc: func(any) { e.notice() },
		UpdateFunc: func(before, after any) {
			if !reflect.DeepEqual(visible(before), visible(after)) {
				e.notice()
			}
		},
	}
}

func visible(object any) any {
	switch of := object.(type) {
	case *core.Pod:
		pod, seen := policy.FromPod(of)
		return []any{pod, seen}
	case *core.Namespace:
		return of.Labels
	case *networking.NetworkPolicy:
		return of.Spec
	}
	return object
}

func (e *enforcer) notice() {
	select {
	case e.changed <- struct{}{}:
	default: // it will look anyway
	}
}

func (e *enforcer) loop(ctx context.Context) {
	e.notice()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.changed:
		case <-time.After(reloadAfter):
		}
		rest, err := e.enforce(ctx)
		if err != nil {
			klog.ErrorS(err, "Rules not loaded, the last ones stay; trying again")
			e.notice()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// enforce loads the rules if they differ and returns how long to rest. Who waits for a pod is
// counted before the state is read, so that nobody is told of rules that do not know his pod.
func (e *enforcer) enforce(ctx context.Context) (time.Duration, error) {
	waiters := e.waiting.all()
	begun := time.Now()
	state, err := e.state()
	if err != nil {
		return nftRetry, err
	}
	rules := policy.Ruleset(e.node, state)
	if rules != e.loaded || begun.Sub(e.loadedAt) >= reloadAfter {
		if err := load(ctx, rules); err != nil {
			e.loaded = ""
			return nftRetry, err
		}
		klog.V(2).InfoS("Loaded rules", "bytes", len(rules), "took", time.Since(begun))
		e.loaded, e.loadedAt = rules, begun
	}
	e.waiting.answer(waiters, state.Pods)
	return min(max(restFactor*time.Since(begun), minRest), maxRest), nil
}

func (e *enforcer) state() (policy.State, error) {
	everything := labels.Everything()
	pods, err := e.pods.List(everything)
	if err != nil {
		return policy.State{}, err
	}
	namespaces, err := e.namespaces.List(everything)
	if err != nil {
		return policy.State{}, err
	}
	policies, err := e.policies.List(everything)
	if err != nil {
		return policy.State{}, err
	}
	claims, err := readClaims(e.claims)
	if err != nil {
		return policy.State{}, err
	}
	state := policy.State{
		Namespaces: map[string]labels.Set{},
		Policies:   policies,
		AlwaysFrom: e.always,
	}
	for _, each := range namespaces {
		state.Namespaces[each.Name] = each.Labels
	}
	for _, each := range pods {
		if pod, seen := policy.FromPod(each); seen {
			state.Pods = append(state.Pods, pod)
		}
	}
	state.Pods = policy.WithClaims(e.node, state.Pods, claims)
	return state, nil
}

func load(ctx context.Context, rules string) error {
	ctx, cancel := context.WithTimeout(ctx, nftLimit)
	defer cancel()
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = bytes.NewBufferString(rules)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, bytes.TrimSpace(said[:min(len(said), 2000)]))
	}
	return nil
}
