package solo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// record is what this package did on the host: the difference between a
// cluster of ours and one that must not be touched.
type record struct {
	Step           step        `json:"step"`
	Worker         bool        `json:"worker,omitempty"` // not of the control plane
	Cluster        Cluster     `json:"cluster"`
	Program        string      `json:"program"`                  // that runs it, or will
	Address        string      `json:"address"`                  // of the node
	Through        string      `json:"through,omitempty"`        // address of the server that it joined by; empty for the one that made the cluster
	Away           bool        `json:"away,omitempty"`           // the others may know it as away
	Left           bool        `json:"left,omitempty"`           // its cluster has let it go, and it is taken apart
	MaxUnavailable int         `json:"maxUnavailable,omitempty"` // of workers, as of a Wanted
	Returns        string      `json:"returns,omitempty"`        // version that the cluster goes back to, with what is kept here, once the other servers have left it
	Back           string      `json:"back,omitempty"`           // version that it goes back to, whose data it is to have again
	Stuck          *site.Stuck `json:"stuck,omitempty"`          // its pods did not move, before an upgrade
}

type step string

const (
	stepInstall step = "install" // begun, never ready
	stepUpgrade step = "upgrade" // begun, and the cluster is kept as it was
	stepReady   step = "ready"
)

// made tells whether the node was ready once.
func (r record) made() bool { return r.Step == stepUpgrade || r.Step == stepReady }

// State is what is known of the node in a folder.
type State struct {
	Known          bool   // there is one, or began to be
	Ready          bool   // it was, and is not changed just now
	Returns        string // version that the cluster goes back to
	Worker         bool
	Program        string
	Cluster        Cluster
	MaxUnavailable int
}

// Read returns what is known of the node in a folder.
func Read(kind Kind, dir string) (State, error) {
	rec, err := newNode(Config{Kind: kind, Wanted: Wanted{Dir: dir}}).readRecord()
	return State{Known: rec.Step != "", Ready: rec.Step == stepReady && rec.Back == "", Returns: rec.Returns, Worker: rec.Worker, Program: rec.Program, Cluster: rec.Cluster, MaxUnavailable: rec.MaxUnavailable}, err
}

func (n *node) recordFile() string { return filepath.Join(n.Dir, "record.json") }

func (n *node) readRecord() (record, error) {
	var rec record
	found, err := durable.ReadJSON(n.recordFile(), &rec)
	if err == nil && found && !slices.Contains([]step{stepInstall, stepUpgrade, stepReady}, rec.Step) {
		err = fmt.Errorf("%s is damaged: it names no known step, but %q", n.recordFile(), rec.Step)
	}
	if err != nil {
		return record{}, fmt.Errorf("what was done on this host cannot be told: %w", err)
	}
	return rec, nil
}

func (n *node) writeRecord(rec record) error {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	return durable.WriteJSON(n.recordFile(), rec)
}

// mayChange refuses what would harm a cluster that is there.
func (n *node) mayChange(ctx context.Context, rec *record) error {
	if err := system.CheckSystemd(); err != nil {
		return err
	}
	if err := n.goBack(ctx, rec); err != nil || !rec.made() || rec.Back != "" {
		return err
	}
	return mayBecome(rec.Cluster, n.Cluster)
}

// mayBecome tells whether a cluster that has data takes other settings.
func mayBecome(was, is Cluster) error {
	if was.PodCIDR != is.PodCIDR || was.ServiceCIDR != is.ServiceCIDR || was.APIPort != is.APIPort {
		return system.Refuse(fmt.Sprintf("networks and port of a cluster cannot change: it was made with pods in %s, services in %s, port %d", was.PodCIDR, was.ServiceCIDR, was.APIPort),
			"set them back, or make the cluster anew")
	}
	if minor(was.Version) == minor(is.Version) { // in whichever direction
		return nil
	}
	return fleet.CheckUpgrade(was.Version, is.Version)
}

func minor(version string) int { return fleet.VersionOf(version)[1] }

// tag writes a version as tags of images do, and file names better do, too.
func tag(version string) string { return strings.ReplaceAll(version, "+", "-") }
