package kubeadm

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/peers"
)

// letGo carries out what the fleet says of removed hosts, on one host of the control
// plane that stays: their pods move, etcd goes on without them, their nodes are gone,
// and stay away. Each step is taken only once the one before is done, and can be taken again.
func (n *node) letGo(ctx context.Context) error {
	if n.Worker {
		return nil
	}
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	gone, err := n.takeOutRemoved(ctx, server)
	if err != nil {
		return err
	}
	out, err := server.KeptOut(ctx)
	if err != nil || slices.Equal(out, gone) || !n.site().ActsForSite(ctx) {
		return err
	}
	return server.KeepOut(ctx, gone)
}

// takeOutRemoved takes the removed hosts out of the cluster that have not been, if that
// falls to this host, and lists those of which nothing is left there, sorted.
func (n *node) takeOutRemoved(ctx context.Context, server *kubeapi.Server) (gone []string, err error) {
	if len(n.Removed) == 0 {
		return nil, nil
	}
	store, err := localEtcd()
	if err != nil {
		return nil, err
	}
	defer store.CloseIdleConnections()
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	members, err := store.members(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(slices.Values(n.Removed)) {
		i := slices.IndexFunc(nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == name })
		isMember := slices.ContainsFunc(members, func(m member) bool { return m.Name == name })
		if i < 0 && !isMember {
			gone = append(gone, name)
			continue
		}
		if !n.site().ActsForSite(ctx) {
			continue
		}
		n.log.Info("host is removed from the cluster", "host", name, "etcd", isMember)
		if i >= 0 {
			if err := site.Kubectl(n.kubectl).Drain(ctx, nodes[i]); err != nil { // what has not moved in time is ended with the node
				n.log.Warn("not all pods moved in time", "host", name, "error", err)
			}
		}
		if err := n.takeOut(ctx, server, store, name); err != nil {
			return gone, err
		}
		gone = append(gone, name)
	}
	return gone, nil
}

// takeOut removes what the cluster has of a host.
func (n *node) takeOut(ctx context.Context, server *kubeapi.Server, store *etcd, name string) error {
	if err := store.remove(ctx, name); err != nil {
		return err
	}
	return server.Delete(ctx, "/api/v1/nodes/"+name)
}

// Leave takes this host apart once the control plane that stays has let it go: there
// is no node of its name any more. Until then its error says what it waits for.
func Leave(ctx context.Context, cfg Config) error {
	n, rec, err := made(cfg.Dir)
	if err != nil {
		return err
	}
	if n == nil || rec.Left {
		return Reset(ctx, cfg.Dir)
	}
	n.Host, n.Members, n.log = cfg.Host, cfg.Members, newNode(cfg).log
	if err := n.isLetGo(ctx, rec); err != nil {
		return err
	}
	n.log.Info("the cluster has let this host go; taking it apart")
	return n.depart(ctx, rec)
}

// isLetGo says what a removed host waits for. One that was cut off before it was given
// credentials never was a node.
func (n *node) isLetGo(ctx context.Context, rec record) error {
	if _, err := n.credentials(); rec.Step == stepJoin && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return n.site().LetGo(ctx, n.serverOf)
}

// depart takes a node apart that its cluster has let go. That it has is written down
// first: once the credentials are gone, nobody can be asked again.
func (n *node) depart(ctx context.Context, rec record) error {
	rec.Left = true
	if err := n.writeRecord(rec); err != nil {
		return err
	}
	return Reset(ctx, n.Dir)
}

// serverOf is the API server of another host of the control plane.
func (n *node) serverOf(m peers.Member) (*kubeapi.Server, error) {
	authority, err := authorityOf(pkiDir + "/ca.crt")
	if err != nil {
		return nil, err
	}
	own, err := n.credentials()
	if err != nil {
		return nil, err
	}
	return kubeapi.New(net.JoinHostPort(m.Network.Address, strconv.Itoa(n.Cluster.APIPort)), authority, own), nil
}

// credentials are what the host shows to API servers.
func (n *node) credentials() (tls.Certificate, error) {
	if n.Worker {
		return tls.LoadX509KeyPair(kubeletClient, kubeletClient)
	}
	return kubeapi.Certificate(Kubeconfig)
}
