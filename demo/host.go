package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// A host is the machine at the site: an agent and what it brings up.
type host struct {
	bin   string // folder of the built programs
	data  string // the agent's
	stick string // where a USB stick would be mounted
	log   string
	card  string // what the agent shows on the machine's screen
	agent *exec.Cmd
}

func (h *host) start(anchor, source string) error {
	logFile, err := os.OpenFile(h.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	screen, err := os.Create(h.card)
	if err != nil {
		return err
	}
	defer screen.Close()
	h.agent = exec.Command(filepath.Join(h.bin, "holdfast"), "agent", "--anchor", anchor, "--source", source, //nolint:gosec // our own program
		"--bundles", h.stick, "--data-dir", h.data, "--interval", "1s")
	h.agent.Stdout, h.agent.Stderr = screen, logFile
	return h.agent.Start()
}

// kill pulls the plug of the agent alone.
func (h *host) kill() error {
	if err := h.agent.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	_, _ = h.agent.Process.Wait()
	return nil
}

// until polls the status until it satisfies want, or explains what it says instead.
func (h *host) until(ctx context.Context, limit time.Duration, want func(reconciler.Status) bool) (reconciler.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		st, err := reconciler.ReadStatus(h.data)
		if err == nil && want(st) {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, fmt.Errorf("not within %s: %s", limit, describe(st, err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func describe(st reconciler.Status, err error) string {
	if err != nil {
		return err.Error()
	}
	parts := []string{"phase " + string(st.Phase)}
	for _, f := range st.Failures {
		parts = append(parts, string(f.Phase)+": "+f.Message)
	}
	for _, l := range st.Layers {
		if l.State != reconciler.LayerReady {
			parts = append(parts, "layer "+l.Name+" "+string(l.State)+" "+l.Message)
		}
	}
	return strings.Join(parts, "; ")
}

// runs says that the host runs a commit and has nothing left to do for it.
func runs(commit string) func(reconciler.Status) bool {
	return func(st reconciler.Status) bool {
		return st.Settled && st.Confirmed != nil && st.Confirmed.Revision == commit
	}
}

// refuses says that a phase stopped for a reason that names why.
func refuses(phase reconciler.Phase, why string) func(reconciler.Status) bool {
	return func(st reconciler.Status) bool { return failure(st, phase, why) != "" }
}

func failure(st reconciler.Status, phase reconciler.Phase, why string) string {
	for _, f := range st.Failures {
		if f.Phase == phase && strings.Contains(f.Message, why) {
			return f.Message
		}
	}
	return ""
}

// refusal is why the agent's log says that a bundle is not taken. Of an older one the status
// says so only until the next look at its sources, which may follow at once.
func (h *host) refusal(bundle string) string {
	log, _ := os.ReadFile(h.log) // until it is there, nothing was said
	_, after, _ := strings.Cut(string(log), bundle+": ")
	if end := strings.IndexAny(after, "\"\\\n"); end > 0 {
		return bundle + ": " + after[:end]
	}
	return ""
}

func (h *host) kubeconfig() string {
	return filepath.Join(h.data, "embedded", "kubeconfig", "admin.json")
}

func (h *host) kubectl(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--kubeconfig", h.kubeconfig()}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, "embedded", "kube"), append([]string{"kubectl"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args[2:], " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// get asks the web app, as a customer would.
func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}

// memory returns a process's resident set, and how much of it is its own, in megabytes.
func memory(pid int) (rss, anonymous int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		var kb int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			rss = kb / 1024
		}
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
			anonymous = kb / 1024
		}
	}
	return rss, anonymous
}
