package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// nodes lists the cluster's nodes, as this control-plane host knows them.
func (n *node) nodes(ctx context.Context) ([]peers.Node, error) {
	server, err := n.localAPI()
	if err != nil {
		return nil, err
	}
	defer server.Close()
	list, err := server.Nodes(ctx)
	var nodes []peers.Node
	for _, item := range list {
		ready, _ := item.Ready()
		nodes = append(nodes, peers.Node{Name: item.Metadata.Name, Address: item.Address(), Pods: item.Spec.PodCIDR, Ready: ready})
	}
	return nodes, err
}

// theirNodes asks the control plane, for a worker may not list nodes. Where none of it
// answers, which it does not while its only host starts again, it is asked often.
func (n *node) theirNodes(ctx context.Context) ([]peers.Node, error) {
	errs := []error{errors.New("no host of the control plane answers")}
	for _, m := range n.others() {
		if m.Role != fleet.ControlPlane {
			continue
		}
		known, err := n.Peers.Cluster(ctx, m)
		if err == nil && known.Gives {
			return known.Nodes, nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return nil, site.Soon(errors.Join(errs...))
}

// routesOf sorts out which network is this node's, and which are reached through
// which other. What is no network of IPv4, or no address, is nobody's.
func routesOf(host string, nodes []peers.Node) (own string, routes map[string]string) {
	routes = map[string]string{}
	for _, node := range nodes {
		pods, err := netip.ParsePrefix(node.Pods)
		if err != nil || !pods.Addr().Is4() {
			continue
		}
		if node.Name == host {
			own = pods.String()
		} else if via, err := netip.ParseAddr(node.Address); err == nil && via.Is4() {
			routes[pods.String()] = via.String()
		}
	}
	return own, routes
}

// forget removes what would keep a host from joining, see makeWay. Its node stays, with
// its labels and its pods, unless it is alive.
func (n *node) forget(ctx context.Context, name string) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	var found kubeapi.Node
	if err := server.Get(ctx, "/api/v1/nodes/"+name, &found); err != nil && !kubeapi.NotFound(err) {
		return err
	}
	if ready, _ := found.Ready(); ready {
		return fmt.Errorf("node %s still looks alive; it can join anew once the cluster has noticed that it is not", name)
	}
	store, err := localEtcd()
	if err != nil {
		return err
	}
	defer store.CloseIdleConnections()
	return store.makeWay(ctx, name)
}
