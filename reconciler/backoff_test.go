package reconciler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoffDoublesUpToItsLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		failures int
		want     time.Duration
	}{
		{"the first failure waits the first time", 1, time.Second},
		{"each more doubles it", 4, 8 * time.Second},
		{"up to the limit", 9, time.Minute},
		{"for ever", 1 << 20, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.InEpsilon(t, tt.want, backoff(tt.failures, time.Second, time.Minute), 0.11)
		})
	}
}
