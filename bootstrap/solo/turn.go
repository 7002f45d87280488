package solo

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
)

// quorumTime is how long members of etcd may take to agree on who leads them.
const quorumTime = 20 * time.Second

// leave has the site do without this server while its program starts again, once that
// is its turn and the rest of the control plane is whole. Where no server answers there
// is no cluster that could do without it, or with it as it is.
func (n *node) leave(ctx context.Context, rec *record) error {
	if len(n.Hosts().Servers()) == 0 || rec.Cluster == n.Cluster && n.upToDate() {
		return nil
	}
	server := n.someServer(ctx)
	if server == nil {
		return nil
	}
	defer server.Close()
	if err := n.whole(ctx, server); err != nil {
		return err
	}
	rec.Away = true
	if err := n.writeRecord(*rec); err != nil {
		return err
	}
	return site.Enter(ctx, server, n.Host, n.Cluster.Version, 1)
}

// someServer is one whose API is ready, this one first, or nil.
func (n *node) someServer(ctx context.Context) *kubeapi.Server {
	ctx, cancel := context.WithTimeout(ctx, quorumTime)
	defer cancel()
	hosts := []string{"127.0.0.1"}
	for _, m := range n.Hosts().Servers() {
		hosts = append(hosts, m.Network.Address)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, host := range hosts {
			server, err := kubeapi.OpenAt(n.Kubeconfig, host, n.Cluster.APIPort)
			if err != nil { // the program writes it when it starts
				return nil
			}
			if server.Ready(ctx) == nil {
				return server
			}
			server.Close()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// whole tells whether the other servers of the cluster answer as such.
func (n *node) whole(ctx context.Context, server *kubeapi.Server) error {
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return err
	}
	answers := n.Hosts().Ask(ctx)
	for _, m := range n.Hosts().Servers() {
		isNode := slices.ContainsFunc(nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == m.Name })
		if isNode && !answers[m.Name].Gives {
			return site.Wait("%s of the control plane is not whole just now", m.Name)
		}
	}
	return nil
}

// back tells the others that this server is there again.
func (n *node) back(ctx context.Context, rec *record) error {
	if !rec.Away {
		return nil
	}
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	rec.Away = false
	return site.Back(ctx, server, n.Host)
}
