package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// TestAnAgentGoesOnInWhateverYear has the clock of a host say 1970, then 2040, and then
// what is right, with a power cut in between each time. Only the agent's own clock is
// another: the API server's is right, and so are those of who signs commits.
func TestAnAgentGoesOnInWhateverYear(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t)
	s := newStand(t, server)
	f := newFleet(t, "a")
	seen := s.texts(t)
	until := func(year int) time.Duration { return time.Until(time.Date(year, 11, 26, 8, 0, 0, 0, time.UTC)) }
	texts := []string{}
	for _, tt := range []struct {
		text  string
		wrong time.Duration
		year  int
	}{
		{"of the sixties", until(1970), 1970},
		{"of the future", until(2040), 2040},
		{"of the sixties again", until(1970), 1970},
		{"of today", 0, time.Now().UTC().Year()},
	} {
		agent := f.start("a", agentConfig{Kubeconfig: server.kubeconfig, Hurry: true, Wrong: tt.wrong})
		commit := f.commit("page "+tt.text, page(tt.text))
		f.push("a")
		st := f.until("a", "runs the newest", func(st reconciler.Status) bool { return runs(commit)(st) && st.Settled })
		require.Equal(t, tt.year, st.UpdatedAt.Year(), "that is what it takes the time for")
		require.Nil(t, st.Stale)

		s.deface(t)
		within(t, "what a person changed is repaired", func() bool { return s.text(t.Context()) == tt.text })
		texts = append(texts, tt.text, "defaced", tt.text)
		kill(agent)
	}
	require.Equal(t, texts, seen(), "nothing was ever put back")
}
