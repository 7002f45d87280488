package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/durable"
)

// managed is the finalizer of servers' nodes: who deletes one takes its etcd out.
const managed = "wrangler.cattle.io/managed-etcd-controller"

// errRemoved ends a server that the others go on without, until its data is gone.
var errRemoved = errors.New("the member has been permanently removed from the cluster")

// keeper does what each server does for all.
type keeper struct {
	name   string            // of its own node
	labels map[string]string // of a server's
	lets   bool              // who deletes a server's node takes its etcd out
	api    api
	etcd   etcd
}

func newKeeper(cfg embedded.Config, a api, labels map[string]string) (keeper, error) {
	e, err := openEtcd(cfg.Dir)
	return keeper{name: cfg.Host, labels: labels, api: a, etcd: e}, err
}

// keep takes in who has learned, marks the own node as a server's, and lets go of servers whose nodes are deleted.
func (k keeper) keep(ctx context.Context, nodes []node) error {
	errs := []error{k.etcd.promote(ctx)}
	for _, n := range nodes {
		is, goes := slices.Contains(n.Metadata.Finalizers, managed), n.Metadata.DeletionTimestamp != ""
		switch {
		case goes && is:
			errs = append(errs, k.letGo(ctx, n))
		case n.Metadata.Name == k.name && !goes && (is != k.lets || n.Metadata.Labels[serverLabel] == ""):
			finalizers := n.Metadata.Finalizers
			if k.lets {
				finalizers = append(finalizers, managed)
			}
			errs = append(errs, k.change(ctx, n, finalizers))
		}
	}
	return errors.Join(errs...)
}

// letGo removes the member of a node. That of the own one is for others to remove, if there are.
func (k keeper) letGo(ctx context.Context, n node) error {
	all, err := k.etcd.members(ctx)
	if err != nil {
		return err
	}
	if n.Metadata.Name == k.name && len(all) > 1 {
		return nil
	}
	for _, m := range all {
		if m.Name == n.Metadata.Name && m.Name != k.name {
			if _, err := k.etcd.ask(ctx, "remove", map[string]any{"ID": m.ID}); err != nil {
				return err
			}
		}
	}
	return k.change(ctx, n, slices.DeleteFunc(n.Metadata.Finalizers, func(f string) bool { return f == managed }))
}

// change gives a node the finalizers and the labels of a server.
func (k keeper) change(ctx context.Context, n node, finalizers []string) error {
	slices.Sort(finalizers)
	return k.api.patch(ctx, "/api/v1/nodes/"+n.Metadata.Name, mergePatch, map[string]any{"metadata": map[string]any{
		"resourceVersion": n.Metadata.ResourceVersion, "finalizers": slices.Compact(finalizers),
		"labels": k.labels,
	}})
}

// whileMember returns a context that ends with errRemoved once the others have removed this server, as its etcd says.
func whileMember(ctx context.Context, dir string) (context.Context, error) {
	log, removed := filepath.Join(dir, "log", "etcd.log"), filepath.Join(etcdData(dir), "removed")
	if _, err := os.Stat(removed); err == nil {
		return ctx, errRemoved
	}
	if err := os.Rename(log, log+".1"); err != nil && !errors.Is(err, os.ErrNotExist) { // what it said before it started again
		return ctx, err
	}
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		for ctx.Err() == nil {
			if said, err := os.ReadFile(log); err == nil && strings.Contains(string(said), errRemoved.Error()) {
				end(errors.Join(errRemoved, durable.WriteFile(removed, nil, 0o600)))
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	return ctx, nil
}
