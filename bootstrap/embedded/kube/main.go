// Command kube is a whole Kubernetes node in one static program: the name it
// is called by, or its first argument, chooses which part it is.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	parts := parts()
	if len(os.Args) > 1 && parts[filepath.Base(os.Args[0])] == nil {
		os.Args = os.Args[1:]
	}
	run := parts[filepath.Base(os.Args[0])]
	if run == nil {
		names := []string{}
		for name := range parts {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintln(os.Stderr, "kube: say which part: "+strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Exit(run())
}

// parts returns, by name, what runs a part with os.Args and gives its exit code.
func parts() map[string]func() int {
	upstream := func(command func() *cobra.Command) func() int {
		return func() int { return cli.Run(command()) }
	}
	return map[string]func() int{
		"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
		"kube-apiserver":          upstream(apiserver.NewAPIServerCommand),
		"kube-controller-manager": upstream(controllermanager.NewControllerManagerCommand),
		"kube-scheduler":          upstream(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":                 upstream(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"kube-proxy":              upstream(proxy.NewProxyCommand),
		"kubectl":                 upstream(kubectl.NewDefaultKubectlCommand),
		"kubeadm":                 func() int { kubeadmerrors.HandleError(kubeadm.Run()); return 0 },
	}
}
