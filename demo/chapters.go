package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// model makes keys, content and a signed fleet, and serves it.
func (s *story) model(ctx context.Context) error {
	s.heading("Model: a signed fleet, served by Git")
	if err := s.step("keys of headquarters, by gpg and ssh-keygen", func() (string, error) { return s.makeKeys(ctx) }); err != nil {
		return err
	}
	if err := s.step("content named by digest, and locked", func() (string, error) { return s.lockContent(ctx) }); err != nil {
		return err
	}
	return s.step("signed fleet repository served over smart HTTP", func() (string, error) {
		if err := s.hq.serve(); err != nil {
			return "", err
		}
		if _, err := s.hq.publish(ctx, s.platform); err != nil {
			return "", err
		}
		tip, err := s.hq.run(ctx, "git", "ls-remote", s.hq.url, "refs/heads/main")
		if err != nil {
			return "", err
		}
		_, err = s.hq.git(ctx, "verify-commit", "HEAD")
		return s.hq.url + " at " + tip[:12], err
	})
}

func (s *story) makeKeys(ctx context.Context) (string, error) {
	repo, err := filepath.Abs(filepath.Join(s.host.bin, ".."))
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(s.hq.fleet, os.DirFS(filepath.Join(repo, "fleet-example"))); err != nil {
		return "", err
	}
	var public, line string
	if s.platform, public, err = s.hq.openPGPSigner(ctx, "platform@example.com"); err != nil {
		return "", err
	}
	if s.ops, line, err = s.hq.sshSigner(ctx, "operations@example.com"); err != nil {
		return "", err
	}
	if s.stranger, _, err = s.hq.sshSigner(ctx, "stranger@example.com"); err != nil {
		return "", err
	}
	trust := filepath.Join(s.hq.fleet, "trust")
	return "one OpenPGP, one SSH", errors.Join(
		os.WriteFile(s.anchor, []byte(public), 0o600),
		os.WriteFile(filepath.Join(trust, "platform.asc"), []byte(public), 0o644),
		os.WriteFile(filepath.Join(trust, "allowed_signers"), []byte(line), 0o644))
}

func (s *story) lockContent(ctx context.Context) (string, error) {
	store := filepath.Join(s.host.data, "content")
	files, err := filepath.Glob(filepath.Join(s.host.bin, "embedded", "[a-z]*"))
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{
		append([]string{"content", "add", "--store", store, "holdfast.dev/embedded/kubernetes:v1.36.3"}, files...),
		{"content", "add", "--store", store, "--program", "holdfast.dev/embedded/pause:v1.36.3", filepath.Join(s.host.bin, "embedded", "pause")},
		{"content", "add", "--store", store, "--program", "holdfast.dev/example/web:1.0.0", filepath.Join(s.host.bin, "web")},
		{"lock", "--fleet", s.hq.fleet, "--store", store},
		{"lint", s.hq.fleet},
	} {
		out, err := s.holdfast(ctx, args...)
		if err != nil {
			return "", err
		}
		if args[0] == "lint" {
			return firstLine(out), nil
		}
	}
	return "", nil
}

// install starts the agent on a host that nobody knows.
func (s *story) install(ctx context.Context) error {
	s.heading("Install: a host that nobody knows yet")
	if err := s.step("the agent shows its fingerprint and waits", func() (string, error) {
		if err := s.host.start(s.anchor, s.hq.url); err != nil {
			return "", err
		}
		st, err := s.host.until(ctx, 20*time.Second, refuses(reconciler.PhaseLoad, "not registered"))
		return st.Fingerprint, err
	}); err != nil {
		return err
	}
	card, err := os.ReadFile(s.host.card)
	if err != nil {
		return err
	}
	if !strings.Contains(string(card), "SHA256:") || !strings.ContainsAny(string(card), "█▀▄") {
		return fmt.Errorf("the agent shows neither fingerprint nor QR code: %q", card)
	}
	fmt.Fprintln(s.out, "\n"+strings.TrimRight(string(card), "\n"))
	return nil
}

// register makes the host part of the fleet, by a commit.
func (s *story) register(ctx context.Context) error {
	s.heading("Register: a commit")
	if err := s.step("registration is signed, committed and pushed", func() (string, error) { return s.pushRegistration(ctx) }); err != nil {
		return err
	}
	if err := s.step("the cluster is bootstrapped, every layer ready", func() (string, error) {
		st, err := s.host.until(ctx, 3*time.Minute, runs(s.good))
		if err != nil {
			return "", err
		}
		nodes, err := s.host.kubectl(ctx, "get", "nodes", "--no-headers")
		if err == nil && !strings.Contains(nodes, " Ready ") {
			err = errors.New(nodes)
		}
		return fmt.Sprintf("%d layers; %s", len(st.Layers), strings.Join(strings.Fields(nodes), " ")), err
	}); err != nil {
		return err
	}
	return s.step("the web app answers", func() (string, error) {
		ip, err := s.host.kubectl(ctx, "-n", "shop", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
		if err != nil {
			return "", err
		}
		s.app = "http://" + ip
		if err := s.answers(ctx, s.greeting, 20*time.Second); err != nil {
			return "", err
		}
		return s.app + ": " + s.greeting, nil
	})
}

func (s *story) pushRegistration(ctx context.Context) (string, error) {
	key, err := os.ReadFile(filepath.Join(s.host.data, "identity", "host_key.pub"))
	if err != nil {
		return "", err
	}
	if _, err := s.holdfast(ctx, "register", "--fleet", s.hq.fleet, "--site", siteDir, "--host", hostName, "--key", strings.TrimSpace(string(key))); err != nil {
		return "", err
	}
	if s.good, err = s.hq.commit(ctx, s.ops, "Register "+hostName); err != nil {
		return "", err
	}
	return siteDir + "/hosts/" + hostName + ".yaml", s.hq.push(ctx)
}

// change deploys a new text by a commit.
func (s *story) change(ctx context.Context) error {
	s.heading("Change: a commit")
	return s.step("a commit changes the text, and the answer changes", func() (string, error) {
		took, err := s.deploy(ctx, s.ops, "Fresh bread at noon", s.hq.push)
		return fmt.Sprintf("%s from push to confirmed", seconds(took)), err
	})
}

// drift damages the cluster by hand.
func (s *story) drift(ctx context.Context) error {
	s.heading("Run: nobody touches it, or else")
	if err := s.step("a deleted Service comes back", func() (string, error) {
		before, err := s.host.kubectl(ctx, "-n", "shop", "get", "service", "web", "-o", "jsonpath={.metadata.uid}")
		if err != nil {
			return "", err
		}
		if _, err := s.host.kubectl(ctx, "-n", "shop", "delete", "service", "web", "--wait=false"); err != nil {
			return "", err
		}
		return s.comesBack(ctx, func() bool {
			after, err := s.host.kubectl(ctx, "-n", "shop", "get", "service", "web", "-o", "jsonpath={.metadata.uid}")
			return err == nil && after != "" && after != before
		})
	}); err != nil {
		return err
	}
	return s.step("an edited Deployment is put right", func() (string, error) {
		image := []string{"-n", "shop", "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"}
		want, err := s.host.kubectl(ctx, image...)
		if err != nil {
			return "", err
		}
		if _, err := s.host.kubectl(ctx, "-n", "shop", "set", "image", "deployment/web", "*=holdfast.dev/example/web:tampered"); err != nil {
			return "", err
		}
		return s.comesBack(ctx, func() bool {
			is, err := s.host.kubectl(ctx, image...)
			return err == nil && is == want
		})
	})
}

// comesBack waits for the cluster to be put right, and for the app to answer.
func (s *story) comesBack(ctx context.Context, right func() bool) (string, error) {
	start := time.Now()
	for !right() {
		if ctx.Err() != nil || time.Since(start) > 30*time.Second {
			return "", errors.New("not put right within 30 s")
		}
	}
	took := time.Since(start)
	ip, err := s.host.kubectl(ctx, "-n", "shop", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return "", err
	}
	s.app = "http://" + ip
	return "within " + seconds(took), s.answers(ctx, s.greeting, 20*time.Second)
}

// crash kills the agent in the middle of an apply.
func (s *story) crash(ctx context.Context) error {
	s.heading("Survive: the agent is killed in the middle of an apply")
	return s.step("killed by SIGKILL, it finishes after its restart", func() (string, error) {
		if err := s.greet("Open again"); err != nil {
			return "", err
		}
		commit, err := s.hq.commit(ctx, s.ops, "Greet with: Open again")
		if err != nil {
			return "", err
		}
		if err := s.putOnStick(ctx, "open.bundle"); err != nil {
			return "", err
		}
		during := func(st reconciler.Status) bool {
			return st.Phase == reconciler.PhaseApply && !st.Settled && st.Accepted.Revision == commit
		}
		if _, err := s.host.until(ctx, 30*time.Second, during); err != nil {
			return "", err
		}
		if err := s.host.kill(); err != nil {
			return "", err
		}
		st, err := reconciler.ReadStatus(s.host.data)
		if err != nil || st.Confirmed.Revision == commit {
			return "", errors.New("the agent was done before it could be killed")
		}
		if err := s.host.start(s.anchor, s.hq.url); err != nil {
			return "", err
		}
		restarted := func(st reconciler.Status) bool { return runs(commit)(st) && st.Agent.PID == s.host.agent.Process.Pid }
		if _, err := s.host.until(ctx, time.Minute, restarted); err != nil {
			return "", err
		}
		s.memory[0], s.memory[1] = memory(s.host.agent.Process.Pid)
		return "killed in phase apply, with the old revision confirmed", s.answers(ctx, s.greeting, 20*time.Second)
	})
}

func (s *story) putOnStick(ctx context.Context, name string) error {
	tmp := filepath.Join(s.dir, name)
	if _, err := s.holdfast(ctx, "bundle", "create", tmp, "--fleet", s.hq.fleet); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(s.host.stick, name))
}
