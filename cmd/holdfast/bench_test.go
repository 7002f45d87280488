package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

const (
	benchLayers = 100
	benchRounds = 5 // of which the one with the median ratio is reported
)

// BenchmarkLine measures from the moment a commit is there to be fetched to the
// moment its revision is confirmed, for one layer of five objects, a hundred of
// them, one field changed in each of the hundred, and in one of them; all through the
// agent's own process. Beside all but the last, equal objects go to the same API
// server by bare server-side apply. The wait for the next poll is not counted.
func BenchmarkLine(b *testing.B) {
	l := newBenchLine(b)
	l.opts.interval = 2 * time.Second
	l.startProcess()
	server := l.server()
	server.apply(b, benchFleet{namespace: "bare-warm", layers: benchLayers})
	var one, hundred, all, changed samples
	before := "ours"
	for b.Loop() {
		for round := range benchRounds {
			fleet := benchFleet{namespace: fmt.Sprintf("ours-%d", round), goes: before}
			l.push(server, fleet)
			l.until("all of the round before is gone", func(st reconciler.Status) bool { return len(st.Held) == 0 })
			before = fleet.namespace
			fleet.goes, fleet.layers = "", 1
			bare := benchFleet{namespace: fmt.Sprintf("bare-one-%d", round), layers: 1}
			one.add(l.beside(server, fleet, bare))
			fleet.layers += benchLayers
			bare = benchFleet{namespace: fmt.Sprintf("bare-%d", round), layers: benchLayers}
			hundred.add(l.beside(server, fleet, bare))
			fleet.value, bare.value = "2", "2"
			all.add(l.beside(server, fleet, bare))
			fleet.edited = 50
			changed.add(l.push(server, fleet))
		}
	}
	b.ReportMetric(0, "ns/op")
	one.report(b, "1-layer")
	hundred.report(b, "100-layers")
	all.report(b, "100-edits")
	changed.report(b, "edit")
}

// BenchmarkIdle measures what an agent costs that has a hundred layers of five
// objects and nothing to do, for a minute in which it polls once.
func BenchmarkIdle(b *testing.B) {
	l := newBenchLine(b)
	l.opts.interval = 100 * time.Millisecond
	l.startProcess()
	l.push(l.server(), benchFleet{namespace: "ours", layers: benchLayers})
	busy := l.agent.memory(b)
	l.stop()
	l.opts.interval = 0 // the default
	for b.Loop() {
		l.startProcess()
		l.runs(l.repo.Head())
		const calm, window = 10 * time.Second, time.Minute
		time.Sleep(calm)
		cpu, polls := l.agent.cpu(b), l.gate.polls()
		time.Sleep(window)
		b.ReportMetric((l.agent.cpu(b) - cpu).Seconds(), "idle-cpu-s")
		b.ReportMetric(float64(l.gate.polls()-polls), "idle-polls")
		idle := l.agent.memory(b)
		b.ReportMetric(idle["VmRSS"], "idle-rss-MB")
		b.ReportMetric(idle["RssAnon"], "idle-anon-MB")
		b.ReportMetric(busy["VmHWM"], "peak-rss-MB")
		l.stop()
	}
	l.growTen(b)
	b.ReportMetric(0, "ns/op")
}

// growTen measures the memory of an agent that has ten times as many objects, while
// it applies them and an idle minute later.
func (l *benchLine) growTen(b *testing.B) {
	b.Helper()
	l.opts.interval = time.Second
	l.startProcess()
	l.push(l.server(), benchFleet{namespace: "ours", layers: 10 * benchLayers})
	busy := l.agent.memory(b)
	time.Sleep(time.Minute)
	idle := l.agent.memory(b)
	b.ReportMetric(idle["VmRSS"], "5000-rss-MB")
	b.ReportMetric(idle["RssAnon"], "5000-anon-MB")
	b.ReportMetric(busy["VmHWM"], "5000-peak-rss-MB")
	l.stop()
}

// sample is one push and what it took.
type sample struct {
	bare                 time.Duration // of equal objects, without Holdfast
	total                time.Duration // from the agent's first question after the commit to its confirmation
	fetch, render, apply time.Duration // parts of total: until accepted, rendered, confirmed
	git                  time.Duration // part of fetch: what the Git server took to answer
	cpu                  time.Duration // of the agent, from before the commit until it had nothing left to do
}

type samples []sample

func (s *samples) add(one sample) { *s = append(*s, one) }

// ratio is that of a sample to its floor, which may be slower or faster in the next
// round as the machine is; of one without a floor, its seconds.
func (s sample) ratio() float64 {
	return s.total.Seconds() / cmp.Or(s.bare, time.Second).Seconds()
}

func (s samples) report(b *testing.B, name string) {
	slices.SortFunc(s, func(one, other sample) int { return cmp.Compare(one.ratio(), other.ratio()) })
	of := s[len(s)/2]
	ms := func(unit string, d time.Duration) {
		b.ReportMetric(float64(d.Microseconds())/1000, name+"-"+unit)
	}
	ms("ms", of.total)
	ms("fetch-ms", of.fetch)
	ms("git-ms", of.git)
	ms("render-ms", of.render)
	ms("apply-ms", of.apply)
	ms("after-fetch-ms", of.render+of.apply)
	ms("cpu-ms", of.cpu)
	if of.bare > 0 {
		ms("bare-ms", of.bare)
		b.ReportMetric(of.ratio(), name+"-ratio")
		b.ReportMetric(s[0].ratio(), name+"-ratio-least")
		b.ReportMetric(s[len(s)-1].ratio(), name+"-ratio-most")
	}
}

// benchLine is a line whose agent is a process of its own.
type benchLine struct {
	*line
	program string
	gate    *gate
	agent   *agentProcess
	rounds  int
}

func newBenchLine(b *testing.B) *benchLine {
	b.Helper()
	l := &benchLine{line: newLine(b), program: filepath.Join(b.TempDir(), "holdfast")}
	l.build(l.program, "-trimpath", "-ldflags", "-s -w", "./cmd/holdfast")
	l.gate = newGate(b, filepath.Dir(l.repo.Dir))
	l.opts.sources = []gitsource.Source{{URL: l.gate.url + "/fleet"}}
	l.opts.bundles = nil
	require.NoError(b, os.MkdirAll(l.opts.dataDir, 0o700))
	id, err := identity.Load(filepath.Join(l.opts.dataDir, "identity"))
	require.NoError(b, err)
	const dir = "profiles/bench/"
	benchFleet{namespace: "ours"}.write(l.repo)
	for path, text := range map[string]string{
		"fleet.yaml":                            "apiVersion: holdfast.dev/v1alpha1\nkind: Fleet\nmetadata: {name: bench}\n",
		"trust/platform.asc":                    l.owner.Public(),
		"sites/bench/site.yaml":                 "apiVersion: holdfast.dev/v1alpha1\nkind: Site\nmetadata: {name: bench}\nspec: {profile: bench}\n",
		"bases/.keep":                           "",
		dir + "distribution/kustomization.yaml": "resources: [distribution.yaml]\n",
		dir + "distribution/distribution.yaml": fmt.Sprintf("apiVersion: holdfast.dev/v1alpha1\nkind: Distribution\nmetadata: {name: bench}\n"+
			"spec: {type: embedded, version: v1.36.3, apiPort: %d, controlPlane: true}\n", embeddedtest.Ports(b, 1)[0]),
	} {
		l.repo.Write(path, text)
	}
	policy, err := os.ReadFile(filepath.Join(l.root, "fleet-example", "trust", "policy.yaml"))
	require.NoError(b, err)
	l.repo.Write("trust/policy.yaml", string(policy))
	l.fillStore("bench")
	l.holdfast("register", "--fleet", l.repo.Dir, "--site", "sites/bench", "--host", "bench-a", "--key", id.PublicKey())
	l.commit("Begin the fleet")
	return l
}

// push commits a state of the fleet and returns what it took until it was confirmed.
func (l *benchLine) push(server *bareServer, f benchFleet) sample {
	l.t.Helper()
	server.settle(l.t)
	cpu := l.agent.cpu(l.t)
	var commit string
	l.gate.closed(func() {
		f.write(l.repo)
		commit = l.commit(f.message())
	})
	l.runs(commit)
	when := func(message string) time.Time { return l.agent.said(l.t, message, commit[:12]) }
	asked, accepted, rendered, confirmed := l.gate.asked(), when("revision accepted"), when("revision rendered"), when("revision confirmed")
	return sample{
		total: confirmed.Sub(asked), fetch: accepted.Sub(asked), render: rendered.Sub(accepted), apply: confirmed.Sub(rendered),
		git: l.gate.busy(accepted), cpu: l.agent.cpu(l.t) - cpu,
	}
}

// beside pushes a state of the fleet, and applies what it changes barely; each is
// first as often as the other.
func (l *benchLine) beside(server *bareServer, f, changes benchFleet) sample {
	l.t.Helper()
	var ours sample
	var bare time.Duration
	l.rounds++
	for turn := range 2 {
		if (l.rounds/3+turn)%2 == 0 {
			ours = l.push(server, f)
			continue
		}
		server.settle(l.t)
		bare = server.apply(l.t, changes)
	}
	ours.bare = bare
	return ours
}

func (l *benchLine) startProcess() {
	l.t.Helper()
	l.agent = startAgent(l.t, l.program, l.opts)
	l.stop = func() {
		l.agent.end(l.t)
		l.stop = func() {}
	}
	l.until("runs", func(st reconciler.Status) bool { return st.Settled && st.Agent.PID == l.agent.cmd.Process.Pid })
}
