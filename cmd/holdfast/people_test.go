package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
	"github.com/holdfast-fleet/holdfast/support"
)

// tell runs a command on the host, and returns what it says and its exit code.
func (l *line) tell(args ...string) (string, int) {
	l.t.Helper()
	var out, bad strings.Builder
	cmd := newRootCmd()
	cmd.SetArgs(append(args, "--data-dir", l.opts.dataDir))
	cmd.SetOut(&out)
	code := report(&bad, cmd.ExecuteContext(l.t.Context()))
	return out.String() + bad.String(), code
}

// says runs a command on the host that succeeds.
func (l *line) says(args ...string) string {
	l.t.Helper()
	out, code := l.tell(args...)
	require.Zero(l.t, code, "holdfast %v: %s", args, out)
	return out
}

// TestAtThreeInTheMorning is what a person asks on a host: while all is well, while
// somebody fights the agent, and when there is neither cluster nor agent any more.
func TestAtThreeInTheMorning(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.fillFleet()
	id, err := identity.Load(filepath.Join(l.opts.dataDir, "identity"))
	require.NoError(t, err)
	l.holdfast("register", "--fleet", l.repo.Dir, "--site", "sites/emea/store-042", "--host", "store-042-a", "--key", id.PublicKey())
	first := l.commit("Begin the fleet")
	l.start()
	l.runs(first)
	l.edit("sites/emea/store-042/site.yaml", "Guten Tag", "Moin")
	changed := l.commit("Greet as they do up north")
	l.runs(changed)

	l.until("says what comes next", func(st reconciler.Status) bool { return st.Settled && st.Next != nil })
	out := l.says("status")
	require.Contains(t, out, "healthy for ")
	require.Contains(t, out, "next       looks at every object in ")
	require.Contains(t, out, "heard ")
	require.Contains(t, l.says("status", "--objects"), "Deployment shop/web")

	out = l.says("explain", "Deployment", "shop/web")
	require.Contains(t, out, "health     healthy, made ")
	require.Contains(t, out, "revision   "+changed[:12]+"  signed by platform@example.com; confirmed")
	require.Contains(t, out, "bases/web/deployment.yaml:")
	require.Contains(t, out, `GREETING = "Moin"  set in sites/emea/store-042/site.yaml:`)
	require.Contains(t, out, "sites/emea/store-042/site.yaml  "+changed[:12])
	require.Contains(t, out, "signed by platform@example.com: Greet as they do up north")
	require.Contains(t, out, "bases/web/deployment.yaml  "+first[:12])

	l.kubectl("-n", "shop", "annotate", "deployment", "web", "team=night-shift")
	l.until("the annotation is taken away or left", func(reconciler.Status) bool {
		var said struct{ Live *kube.Examination }
		require.NoError(t, json.Unmarshal([]byte(l.says("explain", "deploy/shop/web", "-o", "json")), &said))
		return said.Live != nil && said.Live.Healthy()
	})
	l.kubectl("-n", "shop", "delete", "configmap", "-l", "holdfast.dev/layer=shop")
	l.until("repairs the deletion", func(st reconciler.Status) bool { return st.Repairs > 0 })
	require.Contains(t, l.says("events"), "drift repaired")

	pack := filepath.Join(t.TempDir(), "support.tar.gz")
	l.says("support-bundle", "-o", pack)
	files, _ := unpack(t, pack)
	require.Contains(t, files["cluster.txt"], "WARNING AT")

	l.stop()
	driver, err := bootstrap.For("embedded")
	require.NoError(t, err)
	require.NoError(t, driver.Stop(t.Context(), l.cluster()))
	l.says("support-bundle", "-o", pack)
	files, _ = unpack(t, pack)
	require.Contains(t, files["events.jsonl"], "revision confirmed")
	require.Contains(t, files["status.txt"], "does not answer")
	require.Contains(t, files[support.ListFile], "cluster.txt (nodes, pods and warnings): ")
	out, code := l.tell("explain", "deployment/web", "-n", "shop")
	require.Zero(t, code)
	require.Contains(t, out, "health     not known: the cluster does not answer")
	require.Contains(t, out, "bases/web/deployment.yaml:", "where it comes from is known all the same")
	events := strings.Split(strings.TrimSpace(l.says("events", "-n", "0")), "\n")
	require.True(t, slices.ContainsFunc(events, func(e string) bool {
		return strings.Contains(e, "revision confirmed") && strings.Contains(e, changed[:12])
	}))
	require.Contains(t, events[len(events)-1], "agent stopped")

	require.NoError(t, os.WriteFile(filepath.Join(l.opts.dataDir, reconciler.StatusFile), []byte("{\"site\": \"st"), 0o600))
	out, code = l.tell("explain", "deployment/web", "-n", "shop")
	require.Zero(t, code)
	require.Contains(t, out, "health     not known: the cluster is not found: read status ")
	require.Contains(t, out, "revision   "+changed[:12]+"  signed by platform@example.com; confirmed")
	require.Contains(t, out, "bases/web/deployment.yaml:")
}
