package kube

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// killStory is what the agent is killed in: it installs, changes, makes anew,
// prunes, rolls a bad layer back, and takes a better one.
type killStory struct {
	*fleetOf
	s       *stand
	commits []string // the third has a bad layer
	sources int
}

func newKillStory(t *testing.T) *killStory {
	server := startAPIServer(t)
	k := &killStory{fleetOf: newFleet(t, "a"), s: newStand(t, server)}
	text := func(name, value string, more ...string) string {
		return "---\n{apiVersion: v1, kind: ConfigMap, " + strings.Join(append(more, "metadata: {name: "+name+", namespace: default}"), ", ") + ", data: {text: \"" + value + "\"}}\n"
	}
	fixed := "immutable: true"
	bad := "---\n" + strings.ReplaceAll(deployment("worse"), "NS", "default") + "\n"
	web := "web, timeout: 1s, dependsOn: [base]|"
	for _, c := range []struct{ message, base, web string }{
		{"install", text("keep", "1") + text("fixed", "1", fixed) + text("old", "1"), text("page", "1")},
		{"change, make anew, prune\n\nAllow-Recreate: ConfigMap default/fixed", text("keep", "2") + text("fixed", "2", fixed), text("page", "2")},
		{"go bad", text("keep", "2") + text("fixed", "2", fixed), text("page", "3") + bad},
		{"mend", text("keep", "2") + text("fixed", "2", fixed), text("page", "4")},
	} {
		k.commits = append(k.commits, k.commit(c.message, "base|"+c.base, web+c.web))
	}
	return k
}

// reset makes cluster and host as they were before the first start.
func (k *killStory) reset(ctx context.Context) error {
	for _, list := range []client.Object{&corev1.ConfigMap{}, &appsv1.Deployment{}} {
		if err := k.s.other.DeleteAllOf(ctx, list, client.InNamespace("default"), client.HasLabels{fleet.SiteLabel}); err != nil {
			return err
		}
	}
	for _, own := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.SystemNamespace, Name: inventoryName}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.SystemNamespace, Name: leaseName}},
	} {
		if err := client.IgnoreNotFound(k.s.other.Delete(ctx, own)); err != nil {
			return err
		}
	}
	dir := k.t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "identity"), os.DirFS(filepath.Join(k.dirs["a"], "identity"))); err != nil {
		return err
	}
	for _, secret := range []string{"", "/host_key"} {
		if info, err := os.Stat(k.dirs["a"] + "/identity" + secret); err == nil {
			if err := os.Chmod(dir+"/identity"+secret, info.Mode().Perm()); err != nil {
				return err
			}
		}
	}
	k.dirs["a"] = dir
	k.sources++
	return nil
}

// run tells the story once to an agent that is killed where the configs say, each of
// them in the agent that follows the one before. It returns how many were.
func (k *killStory) run(kills ...agentConfig) (killed int, err error) {
	ctx, stop := context.WithCancel(k.t.Context())
	defer stop()
	if err := k.reset(ctx); err != nil {
		return 0, err
	}
	lost, err := k.deletions(ctx)
	if err != nil {
		return 0, err
	}
	bare := filepath.Join(filepath.Dir(k.repo.Dir), "a.git")
	var agent *exec.Cmd
	start := func() <-chan struct{} {
		config := agentConfig{Kubeconfig: k.s.server.kubeconfig, Hurry: true}
		if len(kills) > 0 {
			config.KillAt, config.KillWhen = kills[0].KillAt, kills[0].KillWhen
			kills = kills[1:]
		}
		agent = k.start("a", config)
		gone := make(chan struct{})
		go func() { _ = agent.Wait(); close(gone) }()
		return gone
	}
	k.repo.Git("push", "-q", "-f", bare, k.commits[0]+":refs/heads/main")
	gone := start()
	defer func() { _ = agent.Process.Kill(); <-gone }()
	for n, commit := range k.commits {
		k.repo.Git("push", "-q", bare, commit+":refs/heads/main")
		want := runs(commit)
		if n == 2 {
			want = putBack(commit)
		}
		deadline := time.Now().Add(time.Minute)
		for {
			st, err := reconciler.ReadStatus(k.dirs["a"])
			if err == nil && st.Agent.PID == agent.Process.Pid && want(st) {
				if text := k.s.text(ctx); n == 2 && text != "2" {
					return killed, fmt.Errorf("the layer was put back, and the page is %q", text)
				}
				break
			}
			if time.Now().After(deadline) {
				return killed, fmt.Errorf("commit %d does not run: %+v", n+1, st.Failures)
			}
			select {
			case <-gone:
				killed++
				gone = start()
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return killed, k.check(ctx, lost())
}

func putBack(commit string) func(reconciler.Status) bool {
	return func(st reconciler.Status) bool {
		return st.Accepted != nil && st.Accepted.Revision == commit && slices.ContainsFunc(st.Failures, func(f reconciler.Failure) bool {
			return f.Phase == reconciler.PhaseConfirm && strings.Contains(f.Message, " stays as last confirmed")
		})
	}
}

// check compares the cluster with the last commit.
func (k *killStory) check(ctx context.Context, lost []string) error {
	var all corev1.ConfigMapList
	if err := k.s.other.List(ctx, &all, client.InNamespace("default"), client.HasLabels{fleet.SiteLabel}); err != nil {
		return err
	}
	var texts []string
	for _, cm := range all.Items {
		texts = append(texts, cm.Name+" "+cm.Data["text"])
	}
	if want := []string{"fixed 2", "keep 2", "page 4"}; !slices.Equal(texts, want) {
		return fmt.Errorf("the cluster has %q, not %q", texts, want)
	}
	for _, one := range lost {
		if !slices.Contains([]string{"ConfigMap old", "ConfigMap fixed", "Deployment worse"}, one) {
			return fmt.Errorf("%s was deleted, and should live", one)
		}
	}
	var left appsv1.DeploymentList
	if err := k.s.other.List(ctx, &left, client.InNamespace("default")); err != nil || len(left.Items) > 0 {
		return fmt.Errorf("the bad layer has left %d Deployments: %w", len(left.Items), err)
	}
	inv, err := k.s.Inventory(ctx, "store")
	if err != nil {
		return err
	}
	if last := k.commits[len(k.commits)-1]; inv.Revision != last || inv.Newest != last || len(inv.Layers["base"]) != 2 || len(inv.Layers["web"]) != 1 {
		return fmt.Errorf("the inventory is %+v", inv)
	}
	return nil
}

// deletions notes what goes; those at the reset are over.
func (k *killStory) deletions(ctx context.Context) (lost func() []string, err error) {
	ctx, stop := context.WithCancel(ctx)
	var mu sync.Mutex
	var all []string
	var g sync.WaitGroup
	for kind, list := range map[string]client.ObjectList{"ConfigMap": &corev1.ConfigMapList{}, "Deployment": &appsv1.DeploymentList{}} {
		w, err := k.s.other.Watch(ctx, list, client.InNamespace("default"))
		if err != nil {
			stop()
			return nil, err
		}
		g.Go(func() {
			defer w.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case e, open := <-w.ResultChan():
					if !open {
						return
					}
					if o, ok := e.Object.(client.Object); ok && e.Type == watch.Deleted {
						mu.Lock()
						all = append(all, kind+" "+o.GetName())
						mu.Unlock()
					}
				}
			}
		})
	}
	return func() []string { stop(); g.Wait(); return all }, nil
}

// points counts what the agent of the last run did.
func (k *killStory) points() int {
	data, err := os.ReadFile(filepath.Join(k.dirs["a"], "points"))
	require.NoError(k.t, err)
	return strings.Count(string(data), "\n")
}

// point names the last thing that an agent did before it was killed first.
func (k *killStory) point(n int) string {
	data, _ := os.ReadFile(filepath.Join(k.dirs["a"], "points"))
	if lines := strings.Split(string(data), "\n"); n <= len(lines) {
		return lines[n-1]
	}
	return "?"
}

// TestKillPoints kills the agent at any change of its files and any request, before
// and after it. HOLDFAST_KILL=all takes every point, which make kill does; otherwise
// it is some of them, for a time, by HOLDFAST_KILL_SEED.
func TestKillPoints(t *testing.T) {
	t.Parallel()
	seed, err := strconv.ParseUint(os.Getenv("HOLDFAST_KILL_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	stories, limit := 1, 45*time.Second
	if os.Getenv("HOLDFAST_KILL") == "all" {
		stories, limit = 4, time.Hour
	}
	var done, unrecovered, total atomic.Int64
	t.Run("stories", func(t *testing.T) {
		for story := range stories {
			t.Run(strconv.Itoa(story), func(t *testing.T) {
				t.Parallel()
				k := newKillStory(t)
				killed, err := k.run()
				require.NoError(t, err)
				require.Zero(t, killed)
				points, until := k.points(), time.Now().Add(limit)
				total.Store(int64(points))
				rng := rand.New(rand.NewPCG(seed, 0)) // the same order in each, of which each takes its share
				for i, n := range rng.Perm(points) {
					if i%stories != story || time.Now().After(until) {
						continue
					}
					kills := []agentConfig{{KillAt: n + 1}}
					if i%3 == 0 { // and the one that comes after it, too
						kills = append(kills, agentConfig{KillAt: 1 + rng.IntN(points/2)})
					}
					killed, err := k.run(kills...)
					if err != nil {
						unrecovered.Add(1)
						t.Errorf("killed at %d (%s), then %v: %v", n+1, k.point(n+1), kills[1:], err)
					}
					done.Add(int64(killed))
				}
			})
		}
	})
	t.Logf("seed %d: %d kill points, %d unrecovered (%d points in the story)", seed, done.Load(), unrecovered.Load(), total.Load())
	require.NotZero(t, done.Load())
}

// TestAChangeThatTakesTheHostDownIsPutBack tells of a change that lets nobody say
// that it is bad.
func TestAChangeThatTakesTheHostDownIsPutBack(t *testing.T) {
	t.Parallel()
	k := newKillStory(t)
	down := agentConfig{KillWhen: "answered: PATCH /apis/apps/v1/namespaces/default/deployments/worse"}
	killed, err := k.run(down, down, down, down, down)
	require.NoError(t, err)
	require.Equal(t, 3, killed, "then it is not tried any more")
}
