package kube

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// soak is a site of three hosts to which anything happens, at random, again and again.
type soak struct {
	*fleetOf
	s       *stand
	rng     *rand.Rand
	hosts   []string
	agents  map[string]*exec.Cmd
	texts   map[string]map[string]string // layer → name → text
	head    string
	n       int // of texts so far
	did     map[string]int
	settled []time.Duration
	rss     map[string]int // MB, the most that was seen
}

// TestSoak does that for as long as HOLDFAST_SOAK says, which make soak sets.
func TestSoak(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("HOLDFAST_SOAK"))
	if err != nil {
		t.Skip("HOLDFAST_SOAK does not say for how long: make soak FOR=1h")
	}
	seed, err := strconv.ParseUint(os.Getenv("HOLDFAST_SOAK_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	hosts := []string{"a", "b", "c"}
	k := &soak{
		fleetOf: newFleet(t, hosts...), s: newStand(t, startAPIServer(t)), rng: rand.New(rand.NewPCG(seed, 0)), hosts: hosts,
		agents: map[string]*exec.Cmd{}, texts: map[string]map[string]string{"one": {}, "two": {}}, did: map[string]int{}, rss: map[string]int{},
	}
	for range 20 {
		k.change()
	}
	k.publish("first", "")
	for _, h := range hosts {
		k.agents[h] = k.start(h, agentConfig{Kubeconfig: k.s.server.kubeconfig, Hurry: true})
	}
	began, said := time.Now(), time.Now()
	for k.settle(); time.Since(began) < lasts; k.settle() {
		for range 1 + k.rng.IntN(3) {
			k.act()
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			t.Log(k.summary(seed, time.Since(began)))
		}
	}
	t.Log(k.summary(seed, time.Since(began)))
}

// act lets one thing happen.
func (k *soak) act() {
	acts := map[string]func(){
		"commit":        func() { k.change(); k.publish("change", "") },
		"bad commit":    k.goBad,
		"edit":          func() { k.drift(false) },
		"deletion":      func() { k.drift(true) },
		"agent killed":  func() { k.fell(k.hosts[k.rng.IntN(len(k.hosts))]) },
		"API restarted": func() { k.s.server.stop(); k.s.server.start() },
		"API hung":      func() { k.s.server.freeze(); k.rest(10 * time.Second); k.s.server.thaw() },
	}
	often := []string{"commit", "commit", "commit", "edit", "edit", "edit", "deletion", "deletion", "agent killed", "agent killed", "bad commit", "API restarted", "API hung"}
	what := often[k.rng.IntN(len(often))]
	k.did[what]++
	acts[what]()
	k.rest(time.Second)
}

// rest is up to so long.
func (k *soak) rest(most time.Duration) { time.Sleep(time.Duration(k.rng.Int64N(int64(most)))) }

// change makes, changes or drops one text.
func (k *soak) change() {
	k.n++
	layer := []string{"one", "two"}[k.rng.IntN(2)]
	names := slices.Sorted(maps.Keys(k.texts[layer]))
	switch at := k.rng.IntN(3); {
	case at == 0 && len(names) > 5:
		delete(k.texts[layer], names[k.rng.IntN(len(names))])
	case at == 1 && len(names) > 0:
		k.texts[layer][names[k.rng.IntN(len(names))]] = strconv.Itoa(k.n)
	default:
		k.texts[layer][fmt.Sprintf("%s-%d", layer, k.n)] = strconv.Itoa(k.n)
	}
}

// publish commits what is wanted, with more in layer two, and gives it to all.
func (k *soak) publish(message, more string) {
	var layers []string
	for _, layer := range []string{"one", "two"} {
		docs := ""
		for _, name := range slices.Sorted(maps.Keys(k.texts[layer])) {
			docs += fmt.Sprintf("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: default}, data: {text: %q}}\n", name, k.texts[layer][name])
		}
		layers = append(layers, layer+", timeout: 2s|"+docs)
	}
	layers[1] += more
	k.head = k.commit(message, layers...)
	k.push(k.hosts...)
}

// goBad publishes a layer that never becomes healthy, waits until it was put back, and mends it.
func (k *soak) goBad() {
	k.publish("go bad", "---\n"+strings.ReplaceAll(deployment("worse"), "NS", "default")+"\n")
	k.wait("the bad layer is put back", func() string {
		for _, h := range k.hosts {
			st, err := reconciler.ReadStatus(k.dirs[h])
			if err == nil && putBack(k.head)(st) {
				return ""
			}
		}
		return "no host says so"
	})
	k.publish("mend", "")
}

// drift changes or deletes one object as a person would; it may be gone already.
func (k *soak) drift(gone bool) {
	layer := []string{"one", "two"}[k.rng.IntN(2)]
	names := slices.Sorted(maps.Keys(k.texts[layer]))
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: names[k.rng.IntN(len(names))]}}
	if gone {
		require.NoError(k.t, client.IgnoreNotFound(k.s.other.Delete(k.t.Context(), cm)))
		return
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"data":{"text":"a person was here"}}`))
	require.NoError(k.t, client.IgnoreNotFound(k.s.other.Patch(k.t.Context(), cm, patch, client.FieldOwner("person"))))
}

// fell kills an agent and starts another.
func (k *soak) fell(host string) {
	kill(k.agents[host])
	k.rest(12 * time.Second)
	k.agents[host] = k.start(host, agentConfig{Kubeconfig: k.s.server.kubeconfig, Hurry: true})
}

// settle waits until the cluster is what the newest commit says, and all hosts say so.
func (k *soak) settle() {
	began := time.Now()
	k.wait("the cluster is as wanted", k.differs)
	k.settled = append(k.settled, time.Since(began))
	for _, h := range k.hosts {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.agents[h].Process.Pid))
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		if words := strings.Fields(rest); len(words) > 0 {
			kb, _ := strconv.Atoi(words[0])
			k.rss[h] = max(k.rss[h], kb>>10)
		}
		log, err := os.ReadFile(filepath.Join(k.dirs[h], "log"))
		require.NoError(k.t, err)
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if at := bytes.Index(log, []byte(bad)); at >= 0 {
				k.t.Fatalf("host %s:\n%s", h, log[max(0, at-500):min(len(log), at+5000)])
			}
		}
	}
}

func (k *soak) differs() string {
	want := map[string]string{}
	for _, texts := range k.texts {
		maps.Copy(want, texts)
	}
	var all corev1.ConfigMapList
	if err := k.s.other.List(k.t.Context(), &all, client.InNamespace("default"), client.HasLabels{fleet.SiteLabel}); err != nil {
		return err.Error()
	}
	have := map[string]string{}
	for _, cm := range all.Items {
		have[cm.Name] = cm.Data["text"]
	}
	var left appsv1.DeploymentList
	if err := k.s.other.List(k.t.Context(), &left, client.InNamespace("default")); err != nil || len(left.Items) > 0 {
		return fmt.Sprintf("%d Deployments are left: %v", len(left.Items), err)
	}
	if !maps.Equal(want, have) {
		return fmt.Sprintf("it has\n%v, not\n%v", have, want)
	}
	for _, h := range k.hosts {
		if st, err := reconciler.ReadStatus(k.dirs[h]); err != nil || !runs(k.head)(st) {
			return fmt.Sprintf("host %s: %v %+v", h, err, st)
		}
	}
	return ""
}

func (k *soak) wait(what string, differs func() string) {
	k.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		why := differs()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("%v\nnot in time: %s: %s", k.did, what, why)
		}
	}
}

func (k *soak) summary(seed uint64, ran time.Duration) string {
	sorted := slices.Sorted(slices.Values(k.settled))
	things := 0
	for _, n := range k.did {
		things += n
	}
	return fmt.Sprintf("seed %d: soaked for %s: %d things happened %v, %d times all was well again, after %s (median), %s (most); resident memory at most %v MB",
		seed, ran.Round(time.Second), things, k.did, len(sorted), sorted[len(sorted)/2].Round(time.Millisecond), sorted[len(sorted)-1].Round(time.Millisecond), k.rss)
}
