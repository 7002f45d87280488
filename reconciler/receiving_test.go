package reconciler

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

func TestASourceThatTakesLongIsInTheStatusAndRarelyInTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &session{Reconciler: Reconciler{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	s.rec = newRecorder(t.TempDir(), Status{}, s.Log)
	for n := range 3 {
		s.receiving(gitsource.Progress{Step: "receiving", From: "https://git.example.com/fleet", Bytes: true, Done: int64(n+1) * 10e6, Took: 10 * time.Second})
	}
	require.Equal(t, "receiving 30 MB at 3.0 MB/s from https://git.example.com/fleet", s.rec.snapshot().Receiving)
	require.Equal(t, 1, strings.Count(log.String(), "receiving"))
	s.said = time.Now().Add(-sayReceiving)
	s.receiving(gitsource.Progress{Step: "checking", Done: 5, Total: 9})
	require.Contains(t, log.String(), `progress="checking 5 objects of 9 objects"`)
}
