//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/e2e/testhost"
)

// TestFigures measures how long hosts take from the commit that registers them
// until their nodes are Ready, beside kubeadm alone on the same hosts: make
// bench-hosts. It prints what it finds as a benchmark does.
func TestFigures(t *testing.T) {
	if !testhost.Inside(t, "../build/hosts") {
		return
	}
	lan, err := testhost.NewLAN("a", "b")
	require.NoError(t, err)
	s, err := openSite(t.TempDir(), kubeadmKit, lan)
	require.NoError(t, err)
	_, err = s.hq.run("sed", "-i", "/interval:/d", filepath.Join(s.hq.stage(), "etc/holdfast/agent.yaml"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	found := figures{}
	for range 3 {
		require.NoError(t, s.install(ctx, "a", "b"))
		f := &round{T: t, site: s, control: s.machines["a"], worker: s.machines["b"], found: found}
		f.ours(ctx)
		f.bare(ctx)
		require.NoError(t, s.close())
	}
	found.print("Hosts")
}

// figures are what rounds found, by unit.
type figures map[string][]float64

func (f figures) add(unit string, took time.Duration) {
	f[unit] = append(f[unit], float64(took.Milliseconds()))
}

// print writes the medians as the one line of a benchmark.
func (f figures) print(name string) {
	line := "Benchmark" + name + " 1"
	for unit, all := range f {
		slices.Sort(all)
		line += fmt.Sprintf(" %g %s", all[len(all)/2], unit)
	}
	fmt.Println(line)
}

// round is a control plane and a worker, newly installed.
type round struct {
	*testing.T
	*site
	control, worker *testhost.Host
	found           figures
}

// ours registers both, one after the other.
func (f *round) ours(ctx context.Context) {
	f.Helper()
	for _, h := range []*testhost.Host{f.control, f.worker} { // kubeadm alone does not share the machine with hosts that boot
		_, err := h.Eventually(ctx, "sh", "-c", "systemctl is-system-running --wait; test -s /var/lib/holdfast/identity/host_key.pub")
		require.NoError(f, err)
	}
	f.registered(ctx, "a", "control-plane", "init")
	began := time.Now()
	_, err := f.control.Eventually(ctx, "curl", "-sf", "--max-time", "1", "http://"+serviceAddress)
	require.NoError(f, err)
	f.found.add("app-ms", time.Since(began))
	f.registered(ctx, "b", "worker", "join")
	for unit, field := range map[string]string{"agent-rss-MB": "VmRSS", "agent-peak-MB": "VmHWM"} {
		f.found[unit] = append(f.found[unit], f.memory(ctx, f.control, field))
	}
}

// registered times a host from the commit that registers it, by what its agent logs.
func (f *round) registered(ctx context.Context, name, role, how string) {
	f.Helper()
	h := f.machines[name]
	require.NoError(f, f.register(ctx, role, name))
	committed := time.Now()
	f.told(ctx)
	require.NoError(f, await(ctx, func() error { return f.runs(name) }))
	at := f.logged(ctx, h)
	asked := f.hq.asked.after(h.Address, committed)
	if asked.IsZero() || asked.After(at["revision accepted"]) {
		asked = committed // the question came while the commit was pushed
	}
	began, ended := f.unit(ctx, h, "holdfast-kubeadm-"+how)
	last := committed
	for _, phase := range []struct {
		unit string
		end  time.Time
	}{
		{"poll", asked}, {"fetch", at["revision accepted"]}, {"render", at["revision rendered"]},
		{"content", began}, {"kubeadm", ended}, {"node", at["node is ready"]},
	} {
		require.False(f, phase.end.IsZero(), "%s of %s: %v", phase.unit, name, at)
		f.found.add(how+"-"+phase.unit+"-ms", phase.end.Sub(last))
		f.Logf("%s %s: %s", name, phase.unit, phase.end.Sub(last).Round(time.Millisecond))
		last = phase.end
	}
	f.found.add(how+"-ready-ms", last.Sub(committed))
	f.found.add(how+"-confirmed-ms", at["revision confirmed"].Sub(last))
}

// told has each host of the site ask for news, as somebody who does not wait for its time would.
func (f *round) told(ctx context.Context) {
	f.Helper()
	var asking errgroup.Group
	for name := range f.roles {
		asking.Go(func() error {
			_, err := f.machines[name].Run(ctx, "holdfast", "sync")
			return err
		})
	}
	require.NoError(f, asking.Wait())
}

var entry = regexp.MustCompile(`(?m)^time=(\S+) level=\S+ msg="?([^"=]+?)"?( \w+=.*)?$`)

// logged tells when the agent first logged each message, and when it accepted the
// revision that it rendered first: before, it waited for its registration.
func (f *round) logged(ctx context.Context, h *testhost.Host) map[string]time.Time {
	f.Helper()
	out, err := h.Run(ctx, "journalctl", "--unit=holdfast", "--output=cat", "--no-pager")
	require.NoError(f, err)
	at := map[string]time.Time{}
	for _, m := range entry.FindAllStringSubmatch(out, -1) {
		when, err := time.Parse(time.RFC3339, m[1])
		require.NoError(f, err)
		_, known := at[m[2]]
		_, rendered := at["revision rendered"]
		if !known || m[2] == "revision accepted" && !rendered {
			at[m[2]] = when
		}
	}
	return at
}

// unit tells when a transient unit began and ended.
func (f *round) unit(ctx context.Context, h *testhost.Host, name string) (began, ended time.Time) {
	f.Helper()
	out, err := h.Run(ctx, "journalctl", "--unit="+name, "--output=short-unix", "--no-pager", "--quiet")
	require.NoError(f, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	when := func(line string) time.Time {
		seconds, err := strconv.ParseFloat(strings.Fields(line + " -")[0], 64)
		require.NoError(f, err, out)
		return time.UnixMicro(int64(seconds * 1e6))
	}
	return when(lines[0]), when(lines[len(lines)-1])
}

// memory is a figure of the agent's process in MB.
func (f *round) memory(ctx context.Context, h *testhost.Host, field string) float64 {
	f.Helper()
	out, err := h.Run(ctx, "sh", "-c", `sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" /proc/$(systemctl show --property=MainPID --value holdfast)/status`, "sh", field)
	require.NoError(f, err)
	kb, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	require.NoError(f, err)
	return kb / 1024
}

// bare takes the agent away and the nodes apart, and makes them again with the same
// programs and images, and kubeadm alone.
func (f *round) bare(ctx context.Context) {
	f.Helper()
	const apart = `set -e; ` + onPath + `
systemctl disable -q --now holdfast
images=$(ctr -n k8s.io images list -q | grep -v ^sha256:)
ctr -n k8s.io images export /var/lib/holdfast/images.tar $images
kubeadm reset --force --cri-socket=unix:///run/containerd/containerd.sock
systemctl stop containerd
rm -rf /var/lib/containerd/*
sync`
	for _, h := range []*testhost.Host{f.worker, f.control} {
		out, err := h.Run(ctx, "sh", "-c", apart)
		require.NoError(f, err, out)
	}
	f.alone(ctx, f.control, "init", `exec kubeadm init --config=/var/lib/holdfast/kubeadm/kubeadm.yaml`)
	admin, err := os.ReadFile(f.control.Path("/etc/kubernetes/admin.conf"))
	require.NoError(f, err)
	require.NoError(f, os.WriteFile(f.worker.Path("/var/lib/holdfast/kubeadm/join.conf"), admin, 0o600))
	f.alone(ctx, f.worker, "join", `exec kubeadm join --config=/var/lib/holdfast/kubeadm/join.yaml`)
}

// onPath has a script find those of the node.
const onPath = `PATH=$(echo /var/lib/holdfast/kubeadm/bin/*):$PATH; `

// alone times the import of images, then kubeadm, then the node until it is Ready.
func (f *round) alone(ctx context.Context, h *testhost.Host, how, command string) {
	f.Helper()
	began := time.Now()
	out, err := h.Run(ctx, "sh", "-c", onPath+`systemctl start containerd && ctr -n k8s.io images import --digests=false /var/lib/holdfast/images.tar && exec sync`)
	require.NoError(f, err, out)
	imported := time.Now()
	out, err = h.Run(ctx, "sh", "-c", onPath+command)
	require.NoError(f, err, out)
	made := time.Now()
	out, err = f.control.Eventually(ctx, "sh", "-c", administer+` wait --for=condition=Ready --timeout=4m node/store-042-`+h.Name) // its kubelet may not have registered it yet
	require.NoError(f, err, out)
	ready := time.Now()
	for _, phase := range []struct {
		unit string
		took time.Duration
	}{
		{"content", imported.Sub(began)}, {"kubeadm", made.Sub(imported)}, {"ready", ready.Sub(imported)}, {"all", ready.Sub(began)},
	} {
		f.found.add("bare-"+how+"-"+phase.unit+"-ms", phase.took)
		f.Logf("bare %s %s: %s", how, phase.unit, phase.took.Round(time.Millisecond))
	}
}
