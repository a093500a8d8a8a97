package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
	node "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	pod "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
)

// stages are upstream's own: a node is Ready at once and says so by its lease, a pod is Ready
// as soon as it is bound and gone as soon as it is deleted.
var stages = []string{
	node.DefaultNodeInit,
	heartbeat.DefaultNodeHeartbeatWithLease,
	pod.DefaultPodReady,
	pod.DefaultPodComplete,
	pod.DefaultPodDelete,
}

// runKwok plays the kubelets of the fake nodes. KWOK reads its stages from a file or from the
// cluster; a file of ours spares the cluster its CRDs.
func runKwok() {
	path := filepath.Join(os.TempDir(), "kwok-stages.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(stages, "\n---\n")), 0o600); err != nil {
		klog.ErrorS(err, "kwok")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	os.Args = append(os.Args, "--config="+path)
	// KWOK parses these before its command does, so unknown ones are left for the command.
	early := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	early.ParseErrorsAllowlist.UnknownFlags = true
	ctx, _ := log.InitFlags(genericapiserver.SetupSignalContext(), early)
	ctx, err := config.InitFlags(ctx, early)
	if err != nil {
		klog.ErrorS(err, "kwok")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	command := cmd.NewCommand(ctx)
	command.Version = "" // cobra would read the --version that the other programs declare
	command.PersistentFlags().AddFlagSet(early)
	if err := command.ExecuteContext(ctx); err != nil {
		klog.ErrorS(err, "kwok")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}
