package embedded

import (
	"fmt"
	"strconv"
	"strings"
)

// kube returns the command line of a part of the program kube.
func (n *node) kube(part string, flags ...string) []string {
	return append([]string{n.Bin + "/kube", part}, flags...)
}

// processes lists what runs, in the order it starts.
func (n *node) processes() []process {
	if n.Server != "" {
		return []process{n.containerd(), n.kubelet(), n.proxy()}
	}
	list := []process{n.etcd(), n.apiserver(), n.controllerManager()}
	if n.Trial {
		return n.trial(list)
	}
	if !n.ControlPlane {
		list = append(list, n.scheduler(), n.containerd(), n.kubelet(), n.proxy())
	}
	return list
}

func (n *node) etcd() process {
	client := fmt.Sprintf("https://127.0.0.1:%d", n.ports.Etcd)
	name, peer, cluster := n.member()
	ca, cert := n.pki("etcd-ca.crt"), n.pki("etcd.pem")
	flags := []string{
		"--name=" + name, "--data-dir=" + n.path("data", "etcd"), "--logger=zap", "--log-level=warn",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + cluster,
		"--client-cert-auth", "--trusted-ca-file=" + ca, "--cert-file=" + cert, "--key-file=" + cert,
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + ca, "--peer-cert-file=" + cert, "--peer-key-file=" + cert,
		"--snapshot-count=5000",
	}
	if n.joins() {
		flags = append(flags, "--initial-cluster-state=existing")
	}
	return process{
		Name: "etcd", Args: n.kube("etcd", flags...),
		Env:         []string{"GOGC=50"},
		Ready:       &probe{URL: client + "/health", CA: ca, Cert: n.pki("apiserver-etcd.pem")},
		StopSeconds: 10,
		files:       []string{ca, cert},
	}
}

func (n *node) apiserver() process {
	cert := n.pki("apiserver.pem")
	files := []string{n.pki("ca.crt"), cert, n.pki("sa.pem"), n.pki("etcd-ca.crt"), n.pki("apiserver-etcd.pem"),
		n.pki("front-proxy-ca.crt"), n.pki("front-proxy.pem"), n.path("etc", "authentication.yaml")}
	flags := []string{
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + strconv.Itoa(n.ports.API),
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=" + n.ServiceCIDR,
		"--tls-cert-file=" + cert, "--tls-private-key-file=" + cert, "--client-ca-file=" + n.pki("ca.crt"),
		fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", n.ports.Etcd), "--etcd-cafile=" + n.pki("etcd-ca.crt"),
		"--etcd-certfile=" + n.pki("apiserver-etcd.pem"), "--etcd-keyfile=" + n.pki("apiserver-etcd.pem"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--authentication-config=" + n.path("etc", "authentication.yaml"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + n.pki("sa.pub"), "--service-account-signing-key-file=" + n.pki("sa.pem"),
		"--requestheader-client-ca-file=" + n.pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + n.pki("front-proxy.pem"), "--proxy-client-key-file=" + n.pki("front-proxy.pem"),
		"--allow-privileged=true", "--profiling=false",
	}
	if !n.ControlPlane {
		files = append(files, n.pki("apiserver-kubelet.pem"))
		flags = append(flags, "--kubelet-certificate-authority="+n.pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate="+n.pki("apiserver-kubelet.pem"), "--kubelet-client-key="+n.pki("apiserver-kubelet.pem"))
	}
	return process{
		Name: "kube-apiserver", Args: n.kube("kube-apiserver", flags...),
		Ready:       &probe{URL: n.server() + "/readyz", CA: n.pki("ca.crt"), Cert: n.pki("agent.pem")},
		StopSeconds: 15, files: files,
	}
}

func (n *node) controllerManager() process {
	config := n.kubeconfig("controller-manager")
	return process{
		Name: "kube-controller-manager",
		Args: n.kube("kube-controller-manager", append(n.client(config, n.ports.ControllerManager),
			"--root-ca-file="+n.pki("ca.crt"), "--service-account-private-key-file="+n.pki("sa.pem"),
			"--use-service-account-credentials=true", "--cluster-name="+n.Host,
			"--node-monitor-period=1s")...), // with 5 s, a node that has just become ready takes no pods that long
		StopSeconds: 10, files: []string{config, n.pki("ca.crt"), n.pki("sa.pem"), n.pki("local.pem")},
	}
}

func (n *node) scheduler() process {
	config := n.kubeconfig("scheduler")
	return process{
		Name: "kube-scheduler", Args: n.kube("kube-scheduler", n.client(config, n.ports.Scheduler)...),
		StopSeconds: 10, files: []string{config, n.pki("local.pem")},
	}
}

// client returns the flags of a program that works on the API, listening on
// loopback: where it is alone, without electing a leader.
func (n *node) client(kubeconfig string, port int) []string {
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port), fmt.Sprintf("--leader-elect=%t", n.Member != nil), "--profiling=false",
		"--tls-cert-file=" + n.pki("local.pem"), "--tls-private-key-file=" + n.pki("local.pem"),
	}
}

// files returns the contents of etc/, by name.
func (n *node) files() map[string]string {
	files := map[string]string{"authentication.yaml": authentication}
	if n.Trial {
		files["egress.yaml"] = n.egress()
	}
	if !n.ControlPlane {
		n.addNodeFiles(files)
	}
	return files
}

// authentication lets strangers see whether the API is healthy, nothing else:
// https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/
var authentication = strings.TrimLeft(`
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
`, "\n")
