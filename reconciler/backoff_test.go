package reconciler

import (
	"errors"
	"fmt"
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

// TestWhoWaitsForOthersAsksOften: at most so long does a site of many hosts stand still
// between two of them.
func TestWhoWaitsForOthersAsksOften(t *testing.T) {
	t.Parallel()
	require.Equal(t, 5*time.Minute, longest(errors.New("no space left on device")))
	require.Equal(t, 10*time.Second, longest(fmt.Errorf("bootstrap kubeadm: %w", turn(10*time.Second))))
	require.Equal(t, 5*time.Minute, longest(turn(time.Hour)))
}

type turn time.Duration

func (turn) Error() string         { return "it is another's turn" }
func (t turn) Poll() time.Duration { return time.Duration(t) }
