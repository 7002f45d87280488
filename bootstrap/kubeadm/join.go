package kubeadm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/peers"
)

// pkiFiles are what all hosts of a control plane share, below pkiDir.
var pkiFiles = []string{"ca.crt", "ca.key", "sa.pub", "sa.key", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key"}

// introduction is what a kubelet without a certificate asks for one with, see its unit.
const introduction = etcKubernetes + "/bootstrap-kubelet.conf"

// workerFiles are what a worker's kubelet introduces itself with, for an hour.
var workerFiles = []string{"ca.crt", "join.crt", "join.key"}

// join makes the host a node of the cluster that the member is part of.
func (n *node) join(ctx context.Context, address string, through peers.Member) error {
	var beside sync.WaitGroup
	var relayed error
	beside.Go(func() { relayed = n.relayRuns(ctx) })
	material, err := site.AskToJoin(ctx, n.log, through, n.Peers.Join)
	beside.Wait()
	if err := errors.Join(err, relayed, n.started()); err != nil {
		return err
	}
	if _, err := system.Write(n.patches(thisMachine())); err != nil {
		return err
	}
	n.log.Info("kubeadm join", "through", through.Name, "worker", n.Worker, "version", n.Cluster.Version)
	if n.Worker {
		return n.joinAsWorker(ctx, address, material)
	}
	return n.joinControlPlane(ctx, address, through, material)
}

func (n *node) joinAsWorker(ctx context.Context, address string, material peers.Material) error {
	if err := has(material, workerFiles); err != nil {
		return err
	}
	found := filepath.Join(n.Dir, "join.conf")
	defer os.Remove(found)
	if err := durable.WriteFile(found, []byte(kubeconfig(n.localEndpoint(), material)), 0o600); err != nil {
		return err
	}
	config, err := n.keep("join.yaml", n.joinConfig(thisMachine(), address, found))
	if err != nil {
		return err
	}
	return n.run(ctx, "join", "join", "--config="+config)
}

// introduceAnew has the control plane let a worker in that was off until its
// certificate ended, or was given it by a clock that was wrong. It is still the node
// that it was.
func (n *node) introduceAnew(ctx context.Context) error {
	through, err := n.site().Origin(ctx, n.log)
	if err != nil {
		return err
	}
	material, err := site.AskToJoin(ctx, n.log, *through, n.Peers.Join)
	if err == nil {
		err = has(material, workerFiles)
	}
	if err != nil {
		return err
	}
	n.log.Info("the kubelet's certificate does not count; it asks for another", "through", through.Name)
	if err := durable.WriteFile(introduction, []byte(kubeconfig(n.localEndpoint(), material)), 0o600); err != nil {
		return err
	}
	old, err := filepath.Glob(kubeletPKI + "/kubelet-client-*.pem")
	if err != nil {
		return err
	}
	for _, file := range append(old, kubeletConf) {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return system.Systemctl(ctx, "restart", "kubelet.service")
}

// joinControlPlane lets kubeadm speak to the member's API server: its own one will
// be ready only once it has joined.
func (n *node) joinControlPlane(ctx context.Context, address string, through peers.Member, material peers.Material) error {
	if err := has(material, pkiFiles); err != nil {
		return err
	}
	if err := writePKI(pkiDir, material); err != nil {
		return err
	}
	theirs := net.JoinHostPort(through.Network.Address, strconv.Itoa(n.Cluster.APIPort))
	own := "controlPlaneEndpoint: " + n.localEndpoint()
	asAdmin := strings.Replace(n.config(thisMachine(), address), own, "controlPlaneEndpoint: "+theirs, 1)
	config, err := n.keep("admin.yaml", asAdmin)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(Kubeconfig); err != nil {
		return err
	}
	if err := n.run(ctx, "admin", "init", "phase", "kubeconfig", "admin", "--config="+config); err != nil {
		return err
	}
	server, err := n.serverOf(through)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := n.sayVersion(ctx, server, address); err != nil {
		return err
	}
	if config, err = n.keep("join.yaml", n.joinConfig(thisMachine(), address, Kubeconfig)); err != nil {
		return err
	}
	if err := n.run(ctx, "join", "join", "--config="+config); err != nil {
		return err
	}
	admin, err := os.ReadFile(Kubeconfig)
	if err != nil {
		return err
	}
	return durable.WriteFile(Kubeconfig, []byte(strings.Replace(string(admin), "https://"+theirs, "https://"+n.localEndpoint(), 1)), 0o600)
}

// localEndpoint is where each node of the cluster finds the API: on loopback a
// control-plane host has its own server, and a worker the relay.
func (n *node) localEndpoint() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Cluster.APIPort))
}

// has makes sure that a peer gave all that it should.
func has(material peers.Material, names []string) error {
	for _, name := range names {
		if len(material[name]) == 0 {
			return errors.New("the peer did not give " + name)
		}
	}
	return nil
}

// kubeconfig is that of a worker which introduces itself.
func kubeconfig(server string, material peers.Material) string {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: site
  cluster:
    server: https://%s
    certificate-authority-data: %s
users:
- name: host
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: site
  context: {cluster: site, user: host}
current-context: site
`, server, encode(material["ca.crt"]), encode(material["join.crt"]), encode(material["join.key"]))
}
