package embedded

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// users are who gets a kubeconfig: its name, which is its certificate's too.
func (n *node) users() []string {
	if n.Server != "" {
		return []string{"kubelet", "proxy"}
	}
	if n.ControlPlane {
		return []string{"admin", "agent", "controller-manager"}
	}
	return []string{"admin", "agent", "controller-manager", "scheduler", "kubelet", "proxy"}
}

func (n *node) kubeconfig(user string) string { return n.path("kubeconfig", user+".json") }

// writeKubeconfigs writes a kubeconfig for each user, in JSON, which is YAML:
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
func (n *node) writeKubeconfigs() error {
	ca, err := os.ReadFile(n.pki("ca.crt"))
	if err != nil {
		return err
	}
	for _, user := range n.users() {
		both, err := os.ReadFile(n.pki(user + ".pem"))
		if err != nil {
			return err
		}
		cert, key, ok := strings.Cut(string(both), "-----BEGIN EC")
		if !ok {
			return fmt.Errorf("read %s: no key in it", n.pki(user+".pem"))
		}
		type object = map[string]any
		data, err := json.MarshalIndent(object{
			"apiVersion": "v1", "kind": "Config", "current-context": n.Host,
			"clusters": []object{{"name": n.Host, "cluster": object{"server": n.server(), "certificate-authority-data": ca}}},
			"users": []object{{"name": user, "user": object{
				"client-certificate-data": []byte(cert), "client-key-data": []byte("-----BEGIN EC" + key)}}},
			"contexts": []object{{"name": n.Host, "context": object{"cluster": n.Host, "user": user}}},
		}, "", "  ")
		if err != nil {
			return err
		}
		if err := writeIfNew(n.kubeconfig(user), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) server() string {
	return cmp.Or(n.Server, fmt.Sprintf("https://127.0.0.1:%d", n.ports.API))
}

// agent is who asks how the node is.
func (n *node) agent() string {
	if n.Server != "" {
		return "kubelet"
	}
	return "agent"
}

func (n *node) pki(file string) string { return n.path("pki", file) }

// certificates lists what the node needs, authorities first. The users are
// those of https://kubernetes.io/docs/setup/best-practices/certificates/.
func (n *node) certificates() []certificate {
	local, owner := []string{"localhost", "127.0.0.1"}, n.Host
	reached := local
	if n.Member != nil { // others reach etcd and the API at the node's address, and have the same authorities
		owner, reached = "cluster", []string{"localhost", "127.0.0.1", n.Address}
	}
	masters := []string{"system:masters"}
	list := []certificate{
		{name: "ca", user: "holdfast " + owner},
		{name: "etcd-ca", user: "holdfast etcd " + owner},
		{name: "front-proxy-ca", user: "holdfast front proxy " + owner},
		{name: "etcd", issuer: "etcd-ca", user: "etcd", names: reached},
		{name: "apiserver-etcd", issuer: "etcd-ca", user: "kube-apiserver"},
		{name: "front-proxy", issuer: "front-proxy-ca", user: "front-proxy"},
		{name: "apiserver", issuer: "ca", user: "kube-apiserver", names: append([]string{"kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc.cluster.local", n.Host, n.service}, reached...)},
		{name: "local", issuer: "ca", user: "holdfast local", names: local},
		{name: "admin", issuer: "ca", user: "holdfast:admin", groups: masters},
		{name: "agent", issuer: "ca", user: "holdfast:agent", groups: masters},
		{name: "controller-manager", issuer: "ca", user: "system:kube-controller-manager"},
	}
	if n.ControlPlane {
		return list
	}
	return append(list,
		certificate{name: "apiserver-kubelet", issuer: "ca", user: "kube-apiserver-kubelet-client", groups: masters},
		certificate{name: "scheduler", issuer: "ca", user: "system:kube-scheduler"},
		certificate{name: "proxy", issuer: "ca", user: "system:kube-proxy"},
		certificate{name: "kubelet", issuer: "ca", user: "system:node:" + n.Host, groups: []string{"system:nodes"}},
		certificate{name: "kubelet-serving", issuer: "ca", user: "system:node:" + n.Host, names: []string{n.Host, n.nodeIP()}},
	)
}
