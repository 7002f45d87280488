// Package solo runs distributions that are one program in one unit of systemd.
// What they have their own is a [Kind].
package solo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// patience is for what a slow machine takes to start a cluster, images included.
const patience = 10 * time.Minute

// Ensure makes the host a cluster as cfg says, and returns once the API and the
// node are ready. It is cheap when nothing changed, goes on where it was cut
// off, and changes nothing of a cluster that it did not make. A server then lets
// removed hosts go.
func Ensure(ctx context.Context, cfg Config) error {
	n := newNode(cfg)
	return n.tend(ctx, n.ensure(ctx))
}

// tend lets removed hosts go once this one is what it should be. A server that waits for
// its turn does, too: it may wait for one of them.
func (n *node) tend(ctx context.Context, err error) error {
	if n.Worker || err != nil && !errors.As(err, &site.WaitError{}) {
		return err
	}
	return errors.Join(err, n.letGo(ctx))
}

func (n *node) ensure(ctx context.Context) error {
	if !system.Exists(n.Program) {
		return fmt.Errorf("the artifact of programs has no file %s", n.Name)
	}
	rec, err := n.readRecord()
	if err != nil {
		return err
	}
	if err := n.mayChange(ctx, &rec); err != nil {
		return err
	}
	address, err := n.address(rec)
	if err != nil {
		return err
	}
	n.through = n.joinedBy(rec)
	if rec.made() || n.From != "" {
		if err := n.configuration(address); err != nil {
			return err
		}
	}
	if n.From == "" && rec.Step == stepReady && rec.Cluster == n.Cluster && rec.MaxUnavailable == n.MaxUnavailable && !rec.Away && n.upToDate() && n.healthy(ctx) == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return n.bring(ctx, rec, address)
}

// bring makes the node what it should be, whatever it is.
func (n *node) bring(ctx context.Context, rec record, address string) error {
	began := time.Now()
	var err error
	switch {
	case n.From != "":
		if err := n.restore(ctx, &rec, address); err != nil {
			return fmt.Errorf("restore %s: %w", n.Name, err)
		}
	case n.isNoLongerFirst(rec), rec.Step == stepInstall && rec.Cluster != n.Cluster && (n.Worker || rec.Through == ""):
		// Nothing can have been put into a cluster that was never ready. A server that
		// joins one may be in its etcd already, and goes on with that.
		if err := n.drop(ctx); err != nil {
			return err
		}
		rec = record{}
	}
	if rec, err = n.begin(ctx, rec, address); err != nil {
		return err
	}
	if err := n.run(ctx); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	if n.From != "" {
		if err := n.dropStrangers(ctx); err != nil {
			return err
		}
	}
	if err := n.back(ctx, &rec); err != nil {
		return err
	}
	count, err := n.folder().Import(ctx, n.Archive, n.Layers)
	if err != nil {
		return err
	}
	if err := system.Sync("/etc", n.Images); err != nil { // what the program wrote
		return err
	}
	rec.Step, rec.Back, rec.Returns, rec.Stuck = stepReady, "", "", nil
	if err := errors.Join(n.writeRecord(rec), n.dropArchives()); err != nil {
		return err
	}
	n.log.Info("node is ready", "version", n.Cluster.Version, "images", count, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

type node struct {
	Config
	log     *slog.Logger
	files   map[string]string
	install []string
	through string // address of the server that it joins by, if any
	given   bool   // it was given a token just now, which the unit reads when it starts
}

func newNode(cfg Config) *node {
	n := &node{Config: cfg, log: cfg.Log}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	return n
}

// address is the one that the cluster was made with, or will be. A worker's may change.
func (n *node) address(rec record) (string, error) {
	if n.Worker {
		found, err := n.Network.Find()
		if err != nil && rec.Address != "" { // it may have none just now
			return rec.Address, nil
		}
		return found, err
	}
	if rec.Address == "" {
		return n.Network.Find()
	}
	if want := n.Network.Address; want != "" && want != rec.Address {
		return "", system.Refuse(fmt.Sprintf("the cluster was made on the address %s and the fleet says %s: a control plane keeps its address", rec.Address, want),
			"set spec.network back in the host's file, or make the cluster anew")
	}
	return rec.Address, nil
}

// kubeletHealth is where kubelets say how they are, see
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/.
const kubeletHealth = "http://127.0.0.1:10248/healthz"

// link is where people look for the program.
func (n *node) link() string { return "/usr/local/bin/" + n.Name }

func (n *node) upToDate() bool {
	have, err := os.Readlink(n.link())
	return err == nil && have == n.Program && system.Holds(n.files) && n.installed() && n.archivesPlaced() && n.folder().Has(n.Layers)
}

// healthy tells whether API and node are ready, and of a worker whether its kubelet
// is: the rest is not in its hands.
func (n *node) healthy(ctx context.Context) error {
	if n.Worker {
		return kubeapi.Get(ctx, http.DefaultClient, kubeletHealth, nil)
	}
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := server.Ready(ctx); err != nil {
		return err
	}
	return server.NodeReady(ctx, n.Host)
}

// configuration makes up what the unit reads.
func (n *node) configuration(address string) error {
	if n.Secrets != nil && !n.Worker && n.through == "" {
		if err := n.Secrets(); err != nil {
			return err
		}
	}
	n.files = n.Files(address, n.through)
	if n.Install != nil {
		n.install = append([]string{n.Program}, n.Install(address, n.through)...)
	}
	return nil
}

// begin records what is about to be done, once its images are there, and the cluster is
// prepared for another version. It may have to wait for other hosts.
func (n *node) begin(ctx context.Context, rec record, address string) (record, error) {
	var err error
	if rec, err = n.takePart(ctx, rec, address); err != nil {
		return rec, err
	}
	if err := n.placeArchives(); err != nil {
		return rec, fmt.Errorf("place the images of %s: %w", n.Name, err)
	}
	switch {
	case rec.Step == "":
		rec = record{Step: stepInstall, Worker: n.Worker, Address: address}
		n.log.Info("node is made", "version", n.Cluster.Version, "worker", n.Worker)
	case n.From != "":
	case rec.Step == stepInstall:
		n.log.Info("an installation was cut off; going on with it")
	case !n.Worker && rec.Step == stepReady && rec.Cluster.Version != n.Cluster.Version:
		if err := n.prepare(ctx, &rec); err != nil {
			return rec, fmt.Errorf("before an upgrade to %s: %w", n.Cluster.Version, err)
		}
	}
	rec.Cluster, rec.Program, rec.Through, rec.MaxUnavailable = n.Cluster, n.Program, n.through, n.MaxUnavailable
	return rec, n.writeRecord(rec)
}

// takePart has the host become part of its site's cluster, where it is not yet; and wait
// until its cluster can do without it for a while, or has the version that it goes to.
func (n *node) takePart(ctx context.Context, rec record, address string) (record, error) {
	switch {
	case n.From != "":
		return rec, nil
	case rec.made() && !n.Worker:
		err := n.leave(ctx, &rec)
		return rec, err
	case rec.made() && rec.Cluster == n.Cluster:
		return rec, nil
	case rec.made():
		err := n.follow(ctx, &rec)
		return rec, err
	}
	if err := n.join(ctx); err != nil {
		return rec, err
	}
	if rec.Step == stepInstall && !n.Worker && (rec.Through == "") != (n.through == "") {
		if err := n.drop(ctx); err != nil {
			return rec, err
		}
		return n.takePart(ctx, record{}, address)
	}
	return rec, n.configuration(address)
}

// call runs a command of the distribution as a unit of its own.
func (n *node) call(ctx context.Context, what string, command []string) (string, error) {
	return system.Run(ctx, "holdfast-"+n.Name+"-"+what, []string{"PATH=" + system.Path}, command...)
}

func (n *node) folder() containerd.Folder {
	return containerd.Folder{Path: n.Images, Record: n.Record, List: func(ctx context.Context) (string, error) {
		return n.call(ctx, "images", n.List(n.Program))
	}}
}

// run makes the unit run the program, and returns when its API and the node are ready.
func (n *node) run(ctx context.Context) error {
	verb := "start"
	changed, err := n.configure(ctx)
	if err != nil {
		return err
	}
	if changed || n.given {
		verb = "restart"
	}
	err = errors.Join(system.Systemctl(ctx, "enable", "--no-reload", n.unit()+".service"), system.Systemctl(ctx, verb, n.unit()+".service"))
	if err == nil {
		err = n.await(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, n.lastWords())
	}
	return nil
}

// configure writes what the unit reads, and the unit, and says whether any of it is new.
// What the program writes, and counts on, is on disk from then on.
func (n *node) configure(ctx context.Context) (changed bool, err error) {
	if n.Synced != nil {
		if err := system.MakeSynced(n.Synced(n.Worker)...); err != nil {
			return false, err
		}
	}
	files, err := system.Write(n.files)
	if err != nil {
		return false, err
	}
	if err := system.Link(n.link(), n.Program); err != nil {
		return false, err
	}
	if len(files) == 0 && n.installed() {
		return false, nil
	}
	if err := n.makeUnit(ctx); err != nil {
		return true, err
	}
	return true, system.Reload(ctx, n.unit()+".service")
}
