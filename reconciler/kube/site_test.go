package kube

import (
	"context"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// page is a layer of one text, in which nothing but the text changes.
func page(text string) string {
	return "page|{apiVersion: v1, kind: ConfigMap, metadata: {name: page, namespace: default}, data: {text: " + text + "}}\n"
}

// texts notes every text that the page ever had.
func (s *stand) texts(t *testing.T) (seen func() []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	watch, err := s.other.Watch(ctx, &corev1.ConfigMapList{}, client.InNamespace("default"))
	require.NoError(t, err)
	var all []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range watch.ResultChan() {
			if cm, ok := e.Object.(*corev1.ConfigMap); ok && cm.Name == "page" && (len(all) == 0 || all[len(all)-1] != cm.Data["text"]) {
				all = append(all, cm.Data["text"])
			}
		}
	}()
	return func() []string {
		stop()
		watch.Stop()
		<-done
		return all
	}
}

func (s *stand) text(ctx context.Context) string {
	cm := &corev1.ConfigMap{}
	if err := s.other.Get(ctx, client.ObjectKey{Namespace: "default", Name: "page"}, cm); err != nil {
		return ""
	}
	return cm.Data["text"]
}

// TestOneHostOfASiteApplies tells of a site of three hosts, whose sources do not
// all have the same, and whose clocks have nothing to do with each other.
func TestOneHostOfASiteApplies(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t)
	s := newStand(t, server)
	f := newFleet(t, "a", "b", "c")
	agents := map[string]*exec.Cmd{}
	up := map[string]time.Duration{"a": 0, "b": 1000 * time.Hour, "c": time.Minute}
	start := func(host string) {
		agents[host] = f.start(host, agentConfig{Kubeconfig: server.kubeconfig, Hurry: true, Up: up[host], Wrong: 1000*up[host] - time.Hour})
	}
	all := slices.Sorted(maps.Keys(up))
	first := f.commit("first", page("one"))
	f.push(all...)
	seen := s.texts(t)
	for _, h := range all {
		start(h)
	}
	for _, h := range all {
		f.until(h, "all keep what one of them applied", runs(first))
	}
	leader := s.holder(t)
	others := slices.DeleteFunc(slices.Clone(all), func(h string) bool { return h == leader })
	f.until(leader, "applies", func(st reconciler.Status) bool { return st.Leader == "" && len(st.Layers) == 1 })
	for _, h := range others {
		f.until(h, "says who applies", func(st reconciler.Status) bool { return st.Leader == leader && len(st.Layers) == 0 })
	}

	second := f.commit("second", page("two"))
	ahead, behind := others[0], others[1]
	f.push(ahead)
	f.until(ahead, "the one that has it takes over", runs(second))
	require.Equal(t, ahead, s.holder(t))
	for _, h := range []string{leader, behind} {
		f.until(h, "says that it is behind", func(st reconciler.Status) bool {
			return slices.ContainsFunc(st.Failures, func(f reconciler.Failure) bool {
				return f.Phase == reconciler.PhaseApply && strings.Contains(f.Message, second[:12]+", which host "+ahead+" brought")
			})
		})
	}

	kill(agents[ahead])
	expired := time.Now().Add(hurriedTimes.duration + hurriedTimes.renew)
	within(t, "the Lease has run out", func() bool { return time.Now().After(expired) })
	require.Equal(t, ahead, s.holder(t), "who is behind does not take it")
	require.Equal(t, "two", s.text(t.Context()))

	f.push(behind)
	f.until(behind, "who has the revision takes over", func(st reconciler.Status) bool { return st.Leader == "" && runs(second)(st) })
	require.Equal(t, behind, s.holder(t))
	s.deface(t)
	within(t, "the new leader repairs", func() bool { return s.text(t.Context()) == "two" })

	third := f.commit("third", page("three"))
	f.push(all...)
	start(ahead)
	for _, h := range all {
		f.until(h, "all have the newest", runs(third))
	}
	require.Equal(t, []string{"one", "two", "defaced", "two", "three"}, seen(), "nobody ever went back")
}

// deface changes the page as a person would.
func (s *stand) deface(t *testing.T) {
	t.Helper()
	cm := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}}
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "page"}, cm))
	cm.Data["text"] = "defaced"
	require.NoError(t, s.other.Update(t.Context(), cm, client.FieldOwner("person")))
}
