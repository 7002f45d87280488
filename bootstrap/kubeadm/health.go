package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// healthy asks the API server and the kubelet.
func (n *node) healthy(ctx context.Context) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.close()
	if err := server.get(ctx, "/readyz", nil); err != nil {
		return err
	}
	kubelet := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return get(ctx, &kubelet, "http://127.0.0.1:10248/healthz", nil)
}

// ready tells whether the node is Ready in the cluster's eyes too.
func (n *node) ready(ctx context.Context) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.close()
	var own nodeObject
	if err := server.get(ctx, "/api/v1/nodes/"+n.Host, &own); err != nil {
		return err
	}
	for _, c := range own.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		} else if c.Type == "Ready" {
			return fmt.Errorf("node %s is not ready: %s", n.Host, c.Message)
		}
	}
	return errors.New("node " + n.Host + " is not ready: its kubelet has not said anything yet")
}
