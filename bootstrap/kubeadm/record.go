package kubeadm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

// record is what this package did on the host: the difference between a
// cluster that must not be touched and the ruins of an attempt.
type record struct {
	Step    step    `json:"step"`
	Worker  bool    `json:"worker,omitempty"`
	Cluster Cluster `json:"cluster"`
	Bin     string  `json:"bin"`             // of the programs that it was made with
	Address string  `json:"address"`         // of the node: a control plane keeps the one that it was made with
	Pause   string  `json:"pause,omitempty"` // image of the pods' sandboxes

	MaxUnavailable int `json:"maxUnavailable,omitempty"` // of workers, as of a Config

	Renewing bool      `json:"renewing,omitempty"` // certificates: begun
	Renewed  time.Time `json:"renewed,omitzero"`   // certificates, last
	Upgrade  *upgrade  `json:"upgrade,omitempty"`  // begun
	Away     bool      `json:"away,omitempty"`     // the cluster was told that the host is, for an upgrade
	Failed   *failure  `json:"failed,omitempty"`   // an upgrade
	Returns  string    `json:"returns,omitempty"`  // version that the cluster goes back to, with what is kept here, once the other servers have left it
	Left     bool      `json:"left,omitempty"`     // its cluster has let the host go, which takes itself apart
}

// version is that of the control plane on this host, or of the kubelet of a worker.
func (r record) version() string {
	if r.Upgrade == nil || r.Worker {
		return r.Cluster.Version
	}
	if r.Upgrade.Step == stepControlPlane {
		return r.Upgrade.From
	}
	return r.Upgrade.To
}

// goesBack tells whether the cluster goes back to a version, or is back there.
func (r record) goesBack(version string) bool {
	return version != "" && (version == r.Returns || r.Upgrade == nil && version == r.Cluster.Version)
}

// done is the record of a host that is all that n is.
func (n *node) done(rec record) record {
	rec.Cluster, rec.Bin, rec.Pause, rec.MaxUnavailable = n.Cluster, n.Bin, n.Pause, n.MaxUnavailable
	rec.Upgrade, rec.Failed, rec.Returns = nil, nil, ""
	return rec
}

type step string

const (
	stepInit  step = "init"  // a cluster was begun
	stepJoin  step = "join"  // another's was being joined
	stepReady step = "ready" // the host was a node, once
)

func (n *node) recordFile() string { return filepath.Join(n.Dir, "record.json") }

func (n *node) readRecord() (record, error) {
	var rec record
	found, err := durable.ReadJSON(n.recordFile(), &rec)
	if err == nil && found && !slices.Contains([]step{stepInit, stepJoin, stepReady}, rec.Step) {
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
