package gitsource

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressIsSaidInALine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p    Progress
		want string
	}{
		{Progress{Step: "receiving", From: "https://git.example.com/fleet", Bytes: true, Done: 34_000_000, Took: 28 * time.Second}, "receiving 34 MB at 1.2 MB/s from https://git.example.com/fleet"},
		{Progress{Step: "receiving", Bytes: true, Done: 900, Total: 5_000_000, Took: 0}, "receiving 0 kB of 5.0 MB"},
		{Progress{Step: "checking", From: "/media/a.bundle", Done: 20, Total: 45, Took: time.Second}, "checking 20 objects of 45 objects from /media/a.bundle"},
	} {
		require.Equal(t, tt.want, tt.p.String())
	}
}

func TestOnlyLongStepsReportProgress(t *testing.T) {
	t.Parallel()
	var said []string
	m := newMeter(WithProgress(t.Context(), func(p Progress) { said = append(said, p.String()) }), "checking", false, 9)
	m.add(1)
	require.Empty(t, said)
	m.next = time.Now()
	m.add(1)
	m.add(1)
	require.Equal(t, []string{"checking 2 objects of 9 objects"}, said, "and not at once again")
	newMeter(t.Context(), "checking", false, 9).add(1) // nobody asked
}

func TestEachStepOfAFetchReportsProgress(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	r := h.open(t)
	steps := make(map[string]string)
	ctx := context.WithValue(t.Context(), progressKey{}, progressTo{report: func(p Progress) { steps[p.Step] = p.From }})
	require.NoError(t, r.Fetch(ctx))
	source := h.options.Sources[0].URL
	require.Equal(t, map[string]string{"receiving": source, "scanning": source, "indexing": source, "checking": source}, steps)
}
