package reconciler

import (
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
	"github.com/holdfast-fleet/holdfast/render"
)

const (
	confirmedFile = "confirmed.json"
	inventoryFile = "inventory.json"
)

// A target is one rendering of one revision.
type target struct {
	Commit  Commit         `json:"commit"`
	Desired render.Desired `json:"desired"`
	Members []peers.Member `json:"members"`           // of the site
	Removed []string       `json:"removed,omitempty"` // hosts that it had
	Prune   fleet.Prune    `json:"prune"`             // what the site allows
	Intents intents        `json:"intents,omitzero"`  // what commits allow

	Suspended   []fleet.Suspension `json:"suspended,omitempty"`
	Backup      backupPlan         `json:"backup,omitzero"`
	Maintenance fleet.Maintenance  `json:"maintenance,omitzero"`
	Urgent      bool               `json:"urgent,omitempty"` // waits for no maintenance window
}

// worker tells whether the host never applies.
func (t *target) worker() bool {
	return slices.ContainsFunc(t.Members, func(m peers.Member) bool { return m.Name == t.Desired.Host && m.Role == fleet.Worker })
}

// shared tells whether other hosts of the site may apply, too.
func (t *target) shared() bool {
	return slices.ContainsFunc(t.Members, func(m peers.Member) bool { return m.Name != t.Desired.Host && m.Role == fleet.ControlPlane })
}

// loadConfirmed returns the last confirmed target, kept complete so that it
// needs neither sources nor mirror; nil if there is none.
func loadConfirmed(dir string) (*target, error) {
	var t target
	found, err := durable.ReadJSON(filepath.Join(dir, confirmedFile), &t)
	if err != nil || !found {
		return nil, err
	}
	return &t, nil
}

func (s *session) saveConfirmed(t target) error {
	return s.Disk.WriteJSON(filepath.Join(s.Dir, confirmedFile), t)
}

// ReadInventory returns what may be in the cluster, as the agent last wrote it to
// its data folder; it is empty if there is none.
func ReadInventory(dir string) (Inventory, error) { return loadInventory(dir) }

func loadInventory(dir string) (Inventory, error) {
	var inv Inventory
	_, err := durable.ReadJSON(filepath.Join(dir, inventoryFile), &inv)
	return inv, err
}

func (s *session) saveInventory(inv Inventory) error {
	return s.Disk.WriteJSON(filepath.Join(s.Dir, inventoryFile), inv)
}

// ReadConfirmed returns what was last confirmed, as the agent wrote it to its data
// folder; ok is false if nothing was.
func ReadConfirmed(dir string) (commit Commit, desired render.Desired, ok bool, err error) {
	t, err := loadConfirmed(dir)
	if err != nil || t == nil {
		return commit, desired, false, err
	}
	return t.Commit, t.Desired, true, nil
}
