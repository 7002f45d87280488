// Package kubeadm makes a host a node of upstream Kubernetes with kubeadm, as
// https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/ has
// it: a kubelet and a containerd that systemd runs, and a control plane in
// static pods.
//
// The programs and images are content, by digest; nothing is pulled. What may
// not be done under the agent's own confinement is done by units of its own.
package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Kubeconfig is the administrator's, as kubeadm writes it.
const Kubeconfig = "/etc/kubernetes/admin.conf"

// Config says what the node should be.
type Config struct {
	Dir  string // for this package's own record and the kubeadm configuration
	Bin  string // folder of the programs: see [Programs]
	Host string // name of the node

	Worker  bool           // not of the control plane
	Members []peers.Member // active hosts of the site, in declared order, this one among them
	Removed []string       // hosts that the site had, which the others take out
	Peers   site.Peers     // reaches the others
	Network system.Network
	Cluster Cluster
	From    string // folder of a backup that the cluster is made of; empty: of nothing

	MaxUnavailable int  // workers that may be away at the same time
	Downgrade      bool // a commit allows that it goes back to the version
	Anew           bool // an upgrade that was undone is tried at once

	Pause   string            // image of the pods' sandboxes: repository@digest
	Images  map[string]string // reference → digest, imported before pods need them
	Archive containerd.Archive

	Registries containerd.Registries
	Log        *slog.Logger // nil discards
}

// Cluster is what a cluster is made with.
type Cluster struct {
	Version     string // of Kubernetes, like v1.36.3
	Repository  string // the images of the control plane are below it
	PodCIDR     string
	ServiceCIDR string
	APIPort     int
}

// Programs are the files that Bin must hold.
var Programs = []string{
	"kubeadm", "kubelet", "kubectl", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "bridge", "host-local", "loopback", "portmap",
}

// Ensure makes the host a node of a cluster as cfg says, and returns once the
// API and the node are ready. It is cheap when nothing changed, goes on where
// it was cut off, and changes nothing of a cluster that it did not make.
func Ensure(ctx context.Context, cfg Config) error {
	n := newNode(cfg)
	if err := n.check(); err != nil {
		return err
	}
	rec, err := n.readRecord()
	if err != nil {
		return err
	}
	if n.address, err = n.addressBy(rec); err != nil {
		return err
	}
	if rec.Upgrade != nil && rec.Upgrade.Step == stepControlPlane {
		if err := n.as(rec).goBack(ctx, &rec); err != nil {
			return fmt.Errorf("an upgrade was cut off: %w", err)
		}
	}
	if err := errors.Join(n.mayChange(rec), n.staysWith(&rec)); err != nil {
		return err
	}
	if n.From != "" {
		return n.restoreBackup(ctx, &rec)
	}
	if rec.Step == stepReady && (rec.Upgrade != nil || rec.Cluster.Version != n.Cluster.Version) {
		return n.upgrade(ctx, rec)
	}
	if err := n.keepUp(ctx, &rec); err != nil {
		return err
	}
	return n.back(ctx, &rec)
}

// keepUp makes the host a node, or sees that it is as it should be: rec is of the
// same cluster and version.
func (n *node) keepUp(ctx context.Context, rec *record) error {
	due := rec.Step == stepReady && (rec.Renewing || !rec.justRenewed(time.Now()) && n.certificatesDue(time.Now()))
	if rec.Step == stepReady && n.upToDate() && !due && rec.MaxUnavailable == n.MaxUnavailable && n.healthy(ctx) == nil {
		return n.tend(ctx)
	}
	began := time.Now()
	var err error
	if rec.Step == stepReady {
		err = n.resume(ctx, rec, due)
	} else {
		err = n.begin(ctx, rec)
	}
	if err != nil {
		return err
	}
	if err := n.await(ctx, n.networked); err != nil {
		return fmt.Errorf("give pods their network: %w", err)
	}
	if err := n.await(ctx, n.ready); err != nil {
		return err
	}
	rec.Bin, rec.Pause, rec.MaxUnavailable = n.Bin, n.Pause, n.MaxUnavailable
	if err := errors.Join(n.writeRecord(*rec), os.RemoveAll(introduction)); err != nil {
		return err
	}
	n.log.Info("node is ready", "version", n.Cluster.Version, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// resume brings a node up again: its certificates where they are due, and under the address
// that it has by now.
func (n *node) resume(ctx context.Context, rec *record, due bool) error {
	if due {
		if err := n.runtimeRuns(ctx); err != nil {
			return fmt.Errorf("start containerd: %w", err)
		}
		if err := clockFits(time.Now()); err != nil {
			return err
		}
		if err := n.renewCertificates(ctx, rec); err != nil {
			return fmt.Errorf("renew certificates: %w", err)
		}
	}
	if rec.Address != n.address {
		n.log.Info("the address of this host has changed", "from", rec.Address, "to", n.address)
		rec.Address = n.address
		if err := n.writeRecord(*rec); err != nil {
			return err
		}
	}
	return n.runs(ctx)
}

// runs brings up what belongs to the host, and returns when that is healthy.
func (n *node) runs(ctx context.Context) error {
	if err := n.runtimeRuns(ctx); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	if err := n.relayRuns(ctx); err != nil {
		return fmt.Errorf("start the relay to the control plane: %w", err)
	}
	if err := n.kubeletRuns(ctx); err != nil {
		return fmt.Errorf("start the kubelet: %w", err)
	}
	if err := n.survives(ctx); err != nil {
		return err
	}
	return os.RemoveAll(restoredData) // of a restore that was cut off
}

type node struct {
	Config
	address string // of the node
	log     *slog.Logger
	first   string // network of this node's pods, if it has just made the cluster

	program func() (string, error) // see copyProgram
	started func() error           // returns once containerd runs, see begin
}

func newNode(cfg Config) *node {
	n := &node{Config: cfg, log: cfg.Log}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.program = sync.OnceValues(n.copyProgram)
	return n
}

// check finds what is wrong before anything on the host changes.
func (n *node) check() error {
	for _, program := range Programs {
		if _, err := os.Stat(filepath.Join(n.Bin, program)); err != nil {
			return fmt.Errorf("the artifact of programs lacks %s: %w", program, err)
		}
	}
	return system.CheckSystemd()
}

// mayChange refuses what would harm a cluster that is there.
func (n *node) mayChange(rec record) error {
	was, want := rec.Cluster, n.Cluster
	want.Version = was.Version // see upgrade
	if rec.Step != stepReady || was == want {
		return nil
	}
	return system.Refuse(fmt.Sprintf("networks, port and image repository of a cluster cannot change: it was made with %+v", was),
		"set them back, or make the cluster anew")
}

// addressBy is the node's: of a new one what is found, and of a worker whose address
// has changed the new one. A control plane has its address in certificates, and in the
// other members' lists of etcd, so it keeps it.
func (n *node) addressBy(rec record) (string, error) {
	found, err := n.Network.Find()
	if rec.Step != stepReady {
		return found, err
	}
	if n.Worker {
		if err != nil { // it may have none just now
			return rec.Address, nil
		}
		return found, nil
	}
	hint := "have it keep " + rec.Address + ", which it was made with; or take the host out with state: removed, and register it anew"
	if want := n.Network.Address; want != "" && want != rec.Address {
		return "", system.Refuse(fmt.Sprintf("the address of a control-plane host cannot change while it is part of its cluster, and the fleet says %s", want), hint)
	}
	if _, err := (system.Network{Address: rec.Address}).Find(); err != nil {
		return "", system.Refuse("this host has lost the address of its control plane: "+err.Error(), hint)
	}
	return rec.Address, nil
}

func unitOf(task string) string { return "holdfast-kubeadm-" + task }

// kubeadm is run, and has what the program and the kubelet wrote on disk then.
func (n *node) kubeadm(ctx context.Context, unit string, args ...string) error {
	return errors.Join(n.run(ctx, unit, args...), system.Sync("/etc", "/var/lib"))
}

// run runs kubeadm in a unit of its own.
func (n *node) run(ctx context.Context, unit string, args ...string) error {
	_, err := system.Run(ctx, unitOf(unit), []string{"PATH=" + n.Bin + ":" + system.Path}, append([]string{filepath.Join(n.Bin, "kubeadm")}, args...)...)
	return err
}

const patience = 4 * time.Minute

// await repeats try until it succeeds.
func (n *node) await(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return repeat(ctx, ctx.Done(), try)
}

// repeat repeats try until it succeeds, or that was enough.
func repeat(ctx context.Context, enough <-chan struct{}, try func(context.Context) error) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-enough:
			return errors.Join(err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
