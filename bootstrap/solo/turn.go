package solo

import (
	"context"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
)

// leave has the site do without this server while its program starts again, once that
// is its turn and the rest of the control plane is whole. One whose API does not answer
// is missing already, and harms nobody.
func (n *node) leave(ctx context.Context, rec *record) error {
	if len(n.servers()) < 2 || rec.Cluster == n.Cluster && n.upToDate() {
		return nil
	}
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	if server.Ready(ctx) != nil {
		return nil
	}
	if err := n.whole(ctx, server); err != nil {
		return err
	}
	rec.Away = true
	if err := n.writeRecord(*rec); err != nil {
		return err
	}
	return site.Enter(ctx, server, n.Host, n.Cluster.Version, 1)
}

// whole tells whether the other servers of the cluster answer as such.
func (n *node) whole(ctx context.Context, server *kubeapi.Server) error {
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return err
	}
	answers := n.site().Ask(ctx)
	for _, m := range n.servers() {
		isNode := slices.ContainsFunc(nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == m.Name })
		if isNode && m.Name != n.Host && !answers[m.Name].Gives {
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
