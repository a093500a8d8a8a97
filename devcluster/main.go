// Command devcluster-kube is every Kubernetes program of the disposable cluster in one file:
// they share nearly all of their libraries, so one link costs a fraction of nine.
// The first argument (or the name it is called by) says which program to be.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	genericapiserver "k8s.io/apiserver/pkg/server"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	metrics "sigs.k8s.io/metrics-server/cmd/metrics-server/app"
)

// programs maps a name to what runs it. Constructors are called only for the one that was
// asked for: each installs flags, and some a signal handler, that the others must not see.
var programs = map[string]func(){
	"kube-apiserver":          func() { serve(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { serve(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() { serve(scheduler.NewSchedulerCommand()) },
	"kube-proxy":              func() { serve(kubeproxy.NewProxyCommand()) },
	// The kubelet installs its own signal handler and panics when it meets a second one.
	"kubelet": func() { serve(kubelet.NewKubeletCommand(context.Background())) },
	"metrics-server": func() {
		serve(metrics.NewMetricsServerCommand(genericapiserver.SetupSignalHandler()))
	},
	"kubectl":     runKubectl,
	"coredns":     runCoreDNS,
	"kwok":        runKwok,
	"provisioner": func() { serve(newProvisionerCommand()) },
}

func serve(command *cobra.Command) { os.Exit(cli.Run(command)) }

func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, known := programs[name]; !known && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	run, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "devcluster-kube: no program %q; one of: %s\n", name, names())
		os.Exit(2)
	}
	run()
}

func names() string {
	all := make([]string, 0, len(programs))
	for name := range programs {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
