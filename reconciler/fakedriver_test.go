package reconciler_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// fakeDriver brings nothing up.
type fakeDriver struct {
	needs  []string
	shares bool
	mu     sync.Mutex
	err    error
	stays  error    // why hosts may not leave yet
	left   []string // hosts that did, and to whom
	made   []string // data of backups that the cluster was made of
}

func (d *fakeDriver) Leave(_ context.Context, req bootstrap.Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stays == nil {
		d.left = append(d.left, req.Host+" to "+req.Members[0].Name)
		return os.RemoveAll(req.Dir)
	}
	return d.stays
}

func (d *fakeDriver) set(change func(d *fakeDriver)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *fakeDriver) Shares() bool { return d.shares }

func (d *fakeDriver) Backup(context.Context, string, string) error { return nil }

func (d *fakeDriver) Needs(fleet.Distribution) []string { return d.needs }

func (d *fakeDriver) Ensure(_ context.Context, req bootstrap.Request) (bootstrap.Access, error) {
	if err := os.MkdirAll(req.Dir, 0o700); err != nil {
		return bootstrap.Access{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.From != "" {
		data, err := os.ReadFile(filepath.Join(req.From, "data"))
		if err != nil {
			return bootstrap.Access{}, err
		}
		d.made = append(d.made, string(data))
	}
	return bootstrap.Access{Kubeconfig: "kubeconfig"}, d.err
}
