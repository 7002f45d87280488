package solo

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Local answers the other hosts of the site for the node in Dir.
type Local struct {
	Kind
	Dir string

	workers site.Workers
}

// Cluster tells what this host knows of the cluster.
func (l *Local) Cluster(ctx context.Context) (peers.Cluster, error) {
	known := peers.Cluster{}
	err := l.asAdmin(func(state State, server *kubeapi.Server) error {
		known.Known, known.Returns = true, state.Returns
		known.Kept = newNode(Config{Kind: l.Kind, Wanted: Wanted{Dir: l.Dir}}).kept()
		if server == nil || server.Ready(ctx) != nil {
			return nil
		}
		nodes, err := server.Nodes(ctx)
		if err != nil {
			return nil //nolint:nilerr // it is not healthy, then
		}
		known.Gives, known.Version = true, state.Cluster.Version
		for _, o := range nodes {
			ready, _ := o.Ready()
			known.Nodes = append(known.Nodes, peers.Node{Name: o.Metadata.Name, Address: o.Address(), Pods: o.Spec.PodCIDR, Ready: ready})
		}
		return nil
	})
	return known, err
}

// Give lets a host join. A node of its name that is not alive is removed first, with
// what a server was in etcd: a server of k3s knows it by a password which the host has
// lost, see https://docs.k3s.io/architecture#how-agent-node-registration-works
func (l *Local) Give(ctx context.Context, to peers.Member) (material peers.Material, err error) {
	err = l.asAdmin(func(state State, server *kubeapi.Server) error {
		if server == nil {
			return site.ErrNotReady
		}
		if err := l.forget(ctx, server, state.Program, to.Name); err != nil {
			return err
		}
		if err := server.LetIn(ctx, to.Name); err != nil {
			return err
		}
		material, err = l.Admit(ctx, state.Program, to.Role == fleet.Worker)
		return err
	})
	if err == nil && material == nil { // there is no node here at all
		err = site.ErrNotReady
	}
	return material, err
}

// forget removes a node that is not alive, if there is one. That of a server is there
// until its member of etcd is removed.
func (l *Local) forget(ctx context.Context, server *kubeapi.Server, program, name string) error {
	var old kubeapi.Node
	if err := server.Get(ctx, "/api/v1/nodes/"+name, &old); kubeapi.NotFound(err) {
		return nil
	} else if err != nil {
		return errors.Join(site.ErrNotReady, err)
	}
	if ready, _ := old.Ready(); ready {
		return fmt.Errorf("node %s still looks alive; it can join anew once the cluster has noticed that it is not", name)
	}
	if err := l.remove(ctx, server, program, old); err != nil {
		return err
	}
	return isGone(ctx, server, name)
}

// isGone says so while a node is being removed.
func isGone(ctx context.Context, server *kubeapi.Server, name string) error {
	err := server.Get(ctx, "/api/v1/nodes/"+name, nil)
	if kubeapi.NotFound(err) {
		return nil
	}
	return errors.Join(fmt.Errorf("node %s is being taken out of the cluster, before it can join anew", name), err)
}

// asAdmin asks the API of the server in Dir: none where it is not ready. Where there
// is no node at all, nothing is asked.
func (l *Local) asAdmin(ask func(State, *kubeapi.Server) error) error {
	state, err := Read(l.Kind, l.Dir)
	if err != nil || !state.Known {
		return err
	}
	if state.Worker || !state.Ready {
		return ask(state, nil)
	}
	server, err := kubeapi.Open(l.Kubeconfig, state.Cluster.APIPort)
	if err != nil {
		return ask(state, nil) //nolint:nilerr // it is not ready, then
	}
	defer server.Close()
	return ask(state, server)
}

// ready does something for another host, where the server in Dir is ready.
func (l *Local) ready(do func(State, *kubeapi.Server) error) error {
	done := site.ErrNotReady
	err := l.asAdmin(func(state State, server *kubeapi.Server) error {
		if server != nil {
			done = do(state, server)
		}
		return nil
	})
	return errors.Join(err, done)
}

// LetGo takes the node of a member out of the cluster whose role has changed, or which goes
// back to a version, once its pods have moved. Where one of these cannot be done, it goes on
// as it was; but budgets do not keep a cluster from going back, which ends all its pods in the end.
func (l *Local) LetGo(ctx context.Context, who peers.Member, back string) error {
	return l.ready(func(state State, server *kubeapi.Server) error {
		goesBack := back != "" && (back == state.Returns || back == state.Cluster.Version)
		return l.letGo(ctx, server, state.Program, who, goesBack)
	})
}

func (l *Local) letGo(ctx context.Context, server *kubeapi.Server, program string, who peers.Member, goesBack bool) error {
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return errors.Join(site.ErrNotReady, err)
	}
	i, err := site.MayBeLetGo(nodes, who, goesBack)
	if err != nil || i < 0 {
		return err
	}
	if err := mayDoWithout(nodes, i); err != nil {
		return err
	}
	kubectl := l.kubectl(program)
	err = kubectl.Drain(ctx, nodes[i])
	if err == nil || goesBack {
		err = l.remove(ctx, server, program, nodes[i])
	}
	if err != nil {
		return errors.Join(err, kubectl.Uncordon(ctx, who.Name))
	}
	return isGone(ctx, server, who.Name)
}

// Away has the cluster do without a worker, if it is its turn: its pods move.
func (l *Local) Away(ctx context.Context, who peers.Member, anew bool) error {
	return l.ready(func(state State, server *kubeapi.Server) error {
		return l.workers.Leave(ctx, site.Admin{Server: server, Kubectl: l.kubectl(state.Program)}, who, site.Leaving{Version: state.Cluster.Version, Limit: state.MaxUnavailable, Anew: anew})
	})
}

// Back lets pods come to a worker again.
func (l *Local) Back(ctx context.Context, who peers.Member) error {
	return l.ready(func(state State, server *kubeapi.Server) error {
		return l.workers.Back(ctx, site.Admin{Server: server, Kubectl: l.kubectl(state.Program)}, who)
	})
}
