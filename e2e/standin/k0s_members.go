package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// k0sJoins is the port where controllers join others.
const k0sJoins = "9443"

var k0sLabels = map[string]string{serverLabel: "true", "node.k0sproject.io/role": "control-plane"}

// member is what a controller's etcd is: part of that of the controller whose token it has, or the first.
func (k0s) member(ctx context.Context, tokenFile string, cfg embedded.Config) (*embedded.Member, error) {
	if tokenFile == "" || hasData(cfg.Dir) {
		return &embedded.Member{}, nil
	}
	t, err := readJoinToken(tokenFile, "controller")
	if err != nil {
		return nil, err
	}
	answer, err := insist(ctx, func() ([]byte, error) { return t.use(ctx, "/v1-standin/join-server", cfg) })
	if err != nil {
		return nil, err
	}
	return joined(answer, cfg.Dir, writeKeys)
}

// use asks the controller of the token to let a node in.
func (t joinToken) use(ctx context.Context, path string, cfg embedded.Config) ([]byte, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(t.Clusters[0].Cluster.CA)
	return ask(ctx, t.Clusters[0].Cluster.Server+path, pool, application{Name: cfg.Host, Address: cfg.Address},
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+t.Users[0].User.Token) })
}

// members prints who is in etcd.
func (k0s) members(ctx context.Context, _ documented.Command) error {
	e, err := openEtcd(k0sLayout.dir)
	if err != nil {
		return err
	}
	all, err := e.members(ctx)
	if err != nil {
		return err
	}
	list := map[string]string{}
	for _, m := range all {
		list[m.Name] = m.PeerURLs[0]
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"members": list})
}

// leave takes the member at an address out of etcd.
func (k0s) leave(ctx context.Context, cmd documented.Command) error {
	e, err := openEtcd(k0sLayout.dir)
	if err != nil {
		return err
	}
	all, err := e.members(ctx)
	if err != nil {
		return err
	}
	peer := embedded.PeerURL(cmd.Flags["--peer-address"])
	i := slices.IndexFunc(all, func(m member) bool { return slices.Contains(m.PeerURLs, peer) })
	if i < 0 {
		return fmt.Errorf("k0s: no member of etcd has the peer address %s", cmd.Flags["--peer-address"])
	}
	if len(all) == 1 {
		return errors.New("k0s: can't delete the only member of etcd")
	}
	_, err = e.ask(ctx, "remove", map[string]any{"ID": all[i].ID})
	return err
}
