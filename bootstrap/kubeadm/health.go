package kubeadm

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
)

// localAPI is what listens on this host for the cluster's API, with the rights of
// the administrator or, on a worker, of its kubelet.
func (n *node) localAPI() (*kubeapi.Server, error) {
	if !n.Worker {
		return kubeapi.Open(Kubeconfig, n.Cluster.APIPort)
	}
	authority, err := authorityOf(pkiDir + "/ca.crt")
	if err != nil {
		return nil, err
	}
	own, err := n.credentials()
	if err != nil {
		return nil, err
	}
	return kubeapi.New(n.localEndpoint(), authority, own), nil
}

func authorityOf(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New(file + " holds no certificate")
	}
	return pool, nil
}

// healthy asks the kubelet and, on a host of the control plane, the API server. A
// worker whose control plane is gone is healthy: its pods go on.
func (n *node) healthy(ctx context.Context) error {
	if !n.Worker {
		server, err := n.localAPI()
		if err != nil {
			return err
		}
		defer server.Close()
		if err := server.Ready(ctx); err != nil {
			return err
		}
	}
	kubelet := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return kubeapi.Get(ctx, &kubelet, "http://127.0.0.1:10248/healthz", nil)
}

// ready tells whether the node is Ready in the cluster's eyes too.
func (n *node) ready(ctx context.Context) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	return server.NodeReady(ctx, n.Host)
}
