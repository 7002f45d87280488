package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// server runs the cluster until it is told to end. Pods go on then, as documented.
func (l like) server(ctx context.Context, cmd documented.Command) error {
	s, err := l.settings()
	if err == nil {
		err = l.check(s)
	}
	if err != nil {
		return err
	}
	if err := l.tls(); err != nil {
		return err
	}
	if _, reset := cmd.Flags["--cluster-reset"]; reset {
		return l.clusterReset(ctx, s, cmd.Flags["--cluster-reset-restore-path"])
	}
	if err := errors.Join(os.RemoveAll(l.data("server/db/reset-flag")), l.layOut()); err != nil {
		return err
	}
	ctx, err = whileMember(ctx, l.data("standin"))
	if err == nil {
		err = l.serve(ctx, s)
	}
	if errors.Is(context.Cause(ctx), errRemoved) {
		return context.Cause(ctx)
	}
	return err
}

// serve runs a server that is part of its cluster, or becomes so.
func (l like) serve(ctx context.Context, s documented.Settings) error {
	member, err := l.member(ctx, s)
	if err != nil {
		return err
	}
	port, err := l.apiPort(s)
	if err != nil {
		return err
	}
	pods, err := podsOf(s.First("cluster-cidr"), s.First("node-ip"))
	if err != nil {
		return err
	}
	c := cluster{images: l.data("agent/images"), check: l.places, cfg: embedded.Config{
		Dir: l.data("standin"), Bin: l.data("data/standin/bin"), Host: s.First("node-name"), PodCIDR: pods, ServiceCIDR: s.First("service-cidr"),
		Address: s.First("node-ip"), Member: member, APIPort: port, Bridge: "cni0", Pause: l.pause, Lifeline: true, Log: slog.Default(),
	}}
	r := newRoster(c.cfg.Dir, s.First("cluster-cidr"), c.cfg.Address)
	_ = r.lead(ctx) // done again once the others are seen
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := errors.Join(writeKubeconfig(c.cfg.Dir, l.etc(l.name+".yaml")),
		link(map[string]string{l.data("agent/kubelet.kubeconfig"): filepath.Join(c.cfg.Dir, "kubeconfig", "kubelet.json")})); err != nil {
		return err
	}
	a, err := openAPI(c.cfg.Dir, "admin", fmt.Sprintf("https://127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	k, err := newKeeper(c.cfg, a, map[string]string{serverLabel: "true", "node-role.kubernetes.io/etcd": "true"})
	if err != nil {
		return err
	}
	k.lets = true
	go follow(ctx, a, r.note, k.keep)
	if err := l.welcome(ctx, s, c.cfg, a); err != nil {
		return err
	}
	return c.serve(ctx)
}

// tls has the embedded cluster keep its certificates and keys where the real one does.
func (l like) tls() error {
	return errors.Join(folders(l.data("server/tls"), l.data("standin")), link(map[string]string{l.data("standin/pki"): l.data("server/tls")}))
}

// layOut has what the cluster leaves lie where the real one leaves it.
func (l like) layOut() error {
	err := layout{dir: l.data("standin"), bin: l.data("data/standin/bin"), run: "/run/k3s", kubelet: "/var/lib/kubelet"}.make()
	if err != nil {
		return err
	}
	links := map[string]string{"/run/k3s/containerd/containerd.sock": "../containerd.sock"}
	if l.name == "rke2" {
		links[l.data("bin/ctr")], links[l.data("bin/kubectl")] = programs+"/ctr", programs+"/kube"
	}
	return errors.Join(folders("/run/k3s/containerd", l.data("agent/containerd"), l.data("bin"), l.data("agent/images")), link(links))
}

// cluster is the embedded Kubernetes, with the archives that its images come from.
type cluster struct {
	cfg    embedded.Config
	images string       // folder of archives
	check  func() error // refuses what should not be in it
}

// start brings the cluster up, the images that are there first.
func (c *cluster) start(ctx context.Context) error {
	archives, err := findArchives(c.images)
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return fmt.Errorf("no archive of images in %s, and no network to pull them from", c.images)
	}
	return c.take(ctx, archives)
}

// take imports archives one by one.
func (c *cluster) take(ctx context.Context, archives []archive) error {
	c.cfg.Images = map[string]string{}
	for _, a := range archives {
		c.cfg.Archive = a
		c.cfg.Images[a.path] = a.stamp
		if _, err := embedded.Ensure(ctx, c.cfg); err != nil {
			return err
		}
	}
	return nil
}

// serve says that the cluster is ready, and imports what archives come, until ctx ends.
func (c *cluster) serve(ctx context.Context) error {
	if err := notify("READY=1"); err != nil {
		return err
	}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for seen := len(c.cfg.Images); ; {
		select {
		case <-ctx.Done():
			return c.halt()
		case <-tick.C:
		}
		archives, err := findArchives(c.images)
		if err == nil && (len(archives) != seen || !c.took(archives)) {
			seen = len(archives)
			err = errors.Join(c.check(), c.take(ctx, archives))
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// halt ends the cluster, whose API server would wait for its clients for longer than the real one does.
func (c *cluster) halt() error {
	asked, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if embedded.Halt(asked, c.cfg.Dir) == nil {
		return nil
	}
	killed, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return embedded.Halt(killed, c.cfg.Dir)
}

func (c *cluster) took(archives []archive) bool {
	for _, a := range archives {
		if c.cfg.Images[a.path] != a.stamp {
			return false
		}
	}
	return true
}

// notify tells systemd something, see sd_notify(3).
func notify(state string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}
