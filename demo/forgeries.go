package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// forge pushes what must be refused, one after the other.
func (s *story) forge(ctx context.Context) error {
	s.heading("Trust: what must be refused, while the app keeps answering")
	for _, f := range []struct {
		title string
		phase reconciler.Phase
		why   string
		do    func() error
	}{
		{"an unsigned commit is refused", reconciler.PhaseVerify, "not signed", func() error {
			return s.forgeCommit(ctx, signer{email: "nobody@example.com"})
		}},
		{"a commit signed by a stranger is refused", reconciler.PhaseVerify, "signer", func() error {
			return s.forgeCommit(ctx, s.stranger)
		}},
		{"a rewritten history, though signed, is refused", reconciler.PhaseVerify, "diverge", func() error {
			return s.rewriteHistory(ctx)
		}},
		{"a commit that does not render changes nothing", reconciler.PhaseRender, "GREETIN", func() error {
			return s.breakFleet(ctx)
		}},
	} {
		if err := s.step(f.title, func() (string, error) { return s.refused(ctx, f.phase, f.why, f.do) }); err != nil {
			return err
		}
	}
	return s.step("a good commit follows, and heals", func() (string, error) {
		took, err := s.deploy(ctx, s.platform, "Warm soup tonight", s.hq.push)
		return seconds(took) + " from push to confirmed", err
	})
}

// refused pushes a bad commit, waits for the reason, checks that nothing
// changed, and takes the bad commit back where the host has not accepted it.
func (s *story) refused(ctx context.Context, phase reconciler.Phase, why string, do func() error) (string, error) {
	if err := do(); err != nil {
		return "", err
	}
	if err := s.hq.push(ctx); err != nil {
		return "", err
	}
	st, err := s.host.until(ctx, 30*time.Second, refuses(phase, why))
	if err != nil {
		return "", err
	}
	if st.Confirmed.Revision != s.good {
		return "", errNotRefused
	}
	if err := s.answers(ctx, s.greeting, 5*time.Second); err != nil {
		return "", err
	}
	if phase == reconciler.PhaseVerify {
		if _, err := s.hq.git(ctx, "reset", "-q", "--hard", s.good); err != nil {
			return "", err
		}
		if err := s.hq.push(ctx); err != nil {
			return "", err
		}
		if _, err := s.host.until(ctx, 30*time.Second, func(st reconciler.Status) bool { return failure(st, phase, "") == "" }); err != nil {
			return "", err
		}
	}
	return failure(st, phase, why), nil
}

func (s *story) forgeCommit(ctx context.Context, who signer) error {
	if err := s.hq.edit(siteDir+"/site.yaml", s.greeting, "Free beer for the intruder"); err != nil {
		return err
	}
	_, err := s.hq.commit(ctx, who, "Free beer")
	return err
}

// rewriteHistory replaces the newest commit by another, signed by an owner.
func (s *story) rewriteHistory(ctx context.Context) error {
	if _, err := s.hq.git(ctx, "reset", "-q", "--hard", "HEAD~1"); err != nil {
		return err
	}
	_, err := s.hq.commit(ctx, s.platform, "As if it never happened", "--allow-empty")
	return err
}

// breakFleet commits, properly signed, what lint would have refused: a layer
// that uses a variable nobody declared. The next commit of the story mends it.
func (s *story) breakFleet(ctx context.Context) error {
	const file = "profiles/web-shop/addons/shop/web.yaml"
	whole, err := os.ReadFile(filepath.Join(s.hq.fleet, file))
	if err != nil {
		return err
	}
	if err := s.hq.edit(file, "${GREETING}", "${GREETIN}"); err != nil {
		return err
	}
	if _, err := s.hq.commit(ctx, s.platform, "Mistype a variable"); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.hq.fleet, file), whole, 0o644)
}

// stick brings commits on a USB stick, with the Git server gone.
func (s *story) stick(ctx context.Context) error {
	s.heading("No network: Git bundles on a USB stick")
	if err := s.step("the Git server is stopped; the app keeps answering", func() (string, error) {
		if err := s.hq.server.Close(); err != nil {
			return "", err
		}
		st, err := s.host.until(ctx, 30*time.Second, refuses(reconciler.PhaseSource, ""))
		if err != nil {
			return "", err
		}
		return failure(st, reconciler.PhaseSource, ""), s.answers(ctx, s.greeting, 5*time.Second)
	}); err != nil {
		return err
	}
	old := filepath.Join(s.dir, "old.bundle")
	if _, err := s.holdfast(ctx, "bundle", "create", old, "--fleet", s.hq.fleet); err != nil {
		return err
	}
	if err := s.step("a bundle dropped into the stick's folder is applied", func() (string, error) {
		took, err := s.deploy(ctx, s.ops, "Fresh fish from the stick", func(ctx context.Context) error { return s.putOnStick(ctx, "fleet.bundle") })
		return seconds(took) + " from stick to confirmed", err
	}); err != nil {
		return err
	}
	if err := s.step("a truncated bundle is refused", func() (string, error) { return s.refusedBundle(ctx, "truncated.bundle", s.truncated) }); err != nil {
		return err
	}
	return s.step("an older bundle is refused", func() (string, error) {
		return s.refusedBundle(ctx, "old.bundle", func(context.Context, string) error { return os.Rename(old, filepath.Join(s.host.stick, "old.bundle")) })
	})
}

// refusedBundle puts a bad bundle on the stick and waits until the host says
// why it does not take it.
func (s *story) refusedBundle(ctx context.Context, name string, put func(ctx context.Context, name string) error) (string, error) {
	if err := put(ctx, name); err != nil {
		return "", err
	}
	var reason string
	st, err := s.host.until(ctx, 30*time.Second, func(reconciler.Status) bool {
		reason = s.host.refusal(name)
		return reason != ""
	})
	if err != nil {
		return "", err
	}
	if st.Confirmed.Revision != s.good {
		return "", errNotRefused
	}
	return reason, errors.Join(os.Remove(filepath.Join(s.host.stick, name)), s.answers(ctx, s.greeting, 5*time.Second))
}

// truncated writes the first half of a bundle with a newer commit, which is
// then taken back.
func (s *story) truncated(ctx context.Context, name string) error {
	if _, err := s.hq.commit(ctx, s.ops, "Cut short", "--allow-empty"); err != nil {
		return err
	}
	whole := filepath.Join(s.dir, name)
	if _, err := s.holdfast(ctx, "bundle", "create", whole, "--fleet", s.hq.fleet); err != nil {
		return err
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		return err
	}
	if _, err := s.hq.git(ctx, "reset", "-q", "--hard", s.good); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.host.stick, name), data[:len(data)/2], 0o644)
}
