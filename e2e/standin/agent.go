package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// balanced is where an agent's own parts find the API.
const balanced = "127.0.0.1:6444"

// agent runs a node of another host's cluster until it is told to end. Pods go on then.
func (l like) agent(ctx context.Context, _ documented.Command) error {
	l.unit, l.keys = l.name+"-agent", "agent key"
	s, err := l.settings()
	if err != nil {
		return err
	}
	if err := l.layOut(); err != nil {
		return err
	}
	in, err := admitted(ctx, l.data("standin/admission.json"), func() ([]byte, error) { return l.apply(ctx, s, "node", "/v1-standin/join") })
	if err != nil {
		return err
	}
	c := cluster{images: l.data("agent/images"), check: l.places, cfg: embedded.Config{
		Dir: l.data("standin"), Bin: l.data("data/standin/bin"), Host: s.First("node-name"), Address: s.First("node-ip"),
		Bridge: "cni0", Pause: l.pause, Lifeline: true, Log: slog.Default(),
	}}
	return c.visit(ctx, in, l.data("agent/kubelet.kubeconfig"))
}

// visit runs a node of the cluster that has let it in until it is told to end. Its
// kubelet's kubeconfig is in the named file from when there is one.
func (c *cluster) visit(ctx context.Context, in admission, kubeconfig string) error {
	c.cfg.Server, c.cfg.PodCIDR, c.cfg.ServiceCIDR = "https://"+balanced, in.Pods, in.Services
	r, b := newRoster(c.cfg.Dir, in.Cluster, c.cfg.Address), &balancer{}
	b.lead([]string{in.API})
	lead := func(context.Context, []node) error { return nil }
	if in.Balanced {
		lead = func(context.Context, []node) error { b.lead(r.servers()); return nil }
	}
	_ = lead(ctx, nil)
	_ = r.lead(ctx) // done again once the others are seen
	if err := errors.Join(writeKeys(c.cfg.Dir, in.Keys), healthPort(c.cfg.Dir), forward(ctx, balanced, b.dial),
		link(map[string]string{kubeconfig: filepath.Join(c.cfg.Dir, "kubeconfig", "kubelet.json")})); err != nil {
		return err
	}
	a, err := openAPI(c.cfg.Dir, "proxy", c.cfg.Server) // a kubelet may not see other nodes
	if err != nil {
		return err
	}
	go follow(ctx, a, r.note, lead)
	if err := c.start(ctx); err != nil {
		return err
	}
	return c.serve(ctx)
}

// admitted asks until this node is let in. One that was in goes on without, as a file says.
func admitted(ctx context.Context, file string, apply func() ([]byte, error)) (in admission, err error) {
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return in, err
	}
	data, err := insist(ctx, func() ([]byte, error) {
		data, err := apply()
		if err != nil && len(before) > 0 {
			return before, nil
		}
		return data, err
	})
	if err != nil {
		return in, err
	}
	err = errors.Join(json.Unmarshal(data, &in), durable.WriteFile(file, data, 0o600))
	return in, err
}

// healthPort has the kubelet say how it is where a real one does.
func healthPort(dir string) error {
	file := filepath.Join(dir, "etc", "ports.json")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), durable.WriteFile(file, []byte(`{"kubeletHealth":10248}`), 0o600))
}
