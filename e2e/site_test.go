//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/e2e/testhost"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// site is one of the fleet's, with its machines, for tests that are no stories. The
// machine x is the host store-042-x.
type site struct {
	hq       *headquarters
	lan      *testhost.LAN
	machines map[string]*testhost.Host // installed ones
	roles    map[string]string         // of those that the fleet lists as active
	removed  []string
}

const sitePath = "sites/emea/store-042"

func hostName(machine string) string { return "store-042-" + machine }

// openSite makes headquarters whose site has no hosts yet.
func openSite(dir string, k kit, lan *testhost.LAN) (*site, error) {
	hq, err := newHeadquarters(dir, k, lan)
	if err != nil {
		return nil, err
	}
	s := &site{hq: hq, lan: lan}
	return s, errors.Join(s.fixService(), s.close())
}

// serviceAddress is that of the web app, so that nobody has to ask for it.
const serviceAddress = "10.96.0.80"

func (s *site) fixService() error {
	file := filepath.Join(s.hq.fleet(), "bases/web/service.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fixed := strings.Replace(string(data), "spec:\n", "spec:\n  clusterIP: "+serviceAddress+"\n", 1)
	return errors.Join(s.hq.write(file, fixed, 0o644), s.hq.commit("Give the web app an address"))
}

// close turns all machines off and leaves the site without hosts, from the next commit on.
func (s *site) close() error {
	errs := []error{os.RemoveAll(filepath.Join(s.hq.fleet(), sitePath, "hosts"))}
	for _, h := range s.machines {
		if h.On() {
			errs = append(errs, h.PowerOff())
		}
	}
	s.machines, s.roles, s.removed = map[string]*testhost.Host{}, map[string]string{}, nil
	return errors.Join(errs...)
}

// install puts new machines there and turns them on.
func (s *site) install(ctx context.Context, machines ...string) error {
	for _, name := range machines {
		h, err := s.lan.Host(name, s.hq.stage())
		if err != nil {
			return err
		}
		s.machines[name] = h
		if err := h.Boot(ctx); err != nil {
			return err
		}
	}
	return nil
}

// register lists machines in a role, by one commit.
func (s *site) register(ctx context.Context, role string, machines ...string) error {
	for _, name := range machines {
		key, err := s.machines[name].Eventually(ctx, "cat", "/var/lib/holdfast/identity/host_key.pub")
		if err != nil {
			return err
		}
		if err := s.hq.list(host{site: sitePath, name: hostName(name), key: strings.TrimSpace(key), address: s.machines[name].Address, role: role}); err != nil {
			return err
		}
		s.roles[name] = role
	}
	return s.hq.commit("Register " + strings.Join(machines, ", ") + " as " + role)
}

// runs tells whether a machine runs the newest commit and has nothing left to do.
func (s *site) runs(machine string) error { return s.hq.isRunBy(s.machines[machine]) }

// isRunBy tells whether a host runs the newest commit and has nothing left to do. It does
// not keep the machine busy.
func (hq *headquarters) isRunBy(h *testhost.Host) error {
	head, err := hq.head()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(h.Path("/var/lib/holdfast/status.json"))
	if err != nil {
		return err
	}
	var st reconciler.Status
	if err := json.Unmarshal(data, &st); err != nil {
		return err
	}
	if !st.Settled || st.Confirmed == nil || st.Confirmed.Revision != head {
		return fmt.Errorf("%s does not run %s: %s", h.Name, head, data)
	}
	return nil
}

// await repeats try until it succeeds.
func await(ctx context.Context, try func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}
