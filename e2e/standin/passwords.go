package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// passwords know each node by what it said when it first joined. They are in the cluster, so that all servers know them:
// https://docs.k3s.io/architecture#how-agent-node-registration-works
type passwords struct {
	api  api
	kind string // what the names of their Secrets end in
}

// verify refuses another node of a name, for as long as there is one.
func (p passwords) verify(ctx context.Context, who application) error {
	const secrets = "/api/v1/namespaces/kube-system/secrets"
	name, hash := who.Name+p.kind, fmt.Appendf(nil, "%x", sha256.Sum256([]byte(who.Password)))
	kept, err := list[struct{ Data map[string][]byte }](ctx, p.api, secrets+"?fieldSelector=metadata.name="+name)
	if err != nil {
		return err
	}
	if len(kept) > 0 && string(kept[0].Data["hash"]) == string(hash) {
		return nil
	}
	if len(kept) > 0 {
		nodes, err := list[node](ctx, p.api, "/api/v1/nodes?fieldSelector=metadata.name="+who.Name)
		if err != nil {
			return err
		}
		if len(nodes) > 0 {
			return errors.New("node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry")
		}
	}
	return p.api.patch(ctx, secrets+"/"+name, applyPatch, map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "data": map[string][]byte{"hash": hash},
	})
}
