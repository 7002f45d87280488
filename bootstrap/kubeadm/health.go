package kubeadm

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
)

// localAPI is what listens on this host for the cluster's API, with the administrator's rights.
func (n *node) localAPI() (*kubeapi.Server, error) {
	return kubeapi.Open(Kubeconfig, n.Cluster.APIPort)
}

// healthy asks the API server and the kubelet.
func (n *node) healthy(ctx context.Context) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	if err := server.Ready(ctx); err != nil {
		return err
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
