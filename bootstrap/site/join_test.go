package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/peers"
)

// TestAHostAsksUntilItIsGivenWhatJoiningTakes: a member that refuses may give it a moment
// later, and one that does not answer may not be the one to ask.
func TestAHostAsksUntilItIsGivenWhatJoiningTakes(t *testing.T) {
	t.Parallel()
	through := peers.Member{Name: "store-042-a"}
	for _, tt := range []struct {
		name    string
		refuses int
		fails   error
		takes   time.Duration
		want    string
	}{
		{name: "at once"},
		{name: "once its old node is gone", refuses: 3, takes: 6 * time.Second},
		{name: "not of one that does not answer", fails: errors.New("no route to host"), want: "no route to host"},
		{name: "nor of one that refuses for good", refuses: 1 << 20, takes: askTime, want: "is being taken out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began, asked := time.Now(), 0
				material, err := AskToJoin(t.Context(), slog.New(slog.DiscardHandler), through, func(_ context.Context, of peers.Member) (peers.Material, error) {
					require.Equal(t, through, of)
					if asked++; asked <= tt.refuses {
						return nil, &peers.RefusedError{Peer: of.Name, Reason: "its node is being taken out"}
					}
					return peers.Material{"token": []byte("secret")}, tt.fails
				})
				require.Equal(t, tt.takes, time.Since(began))
				if tt.want != "" {
					require.ErrorContains(t, err, tt.want)
					return
				}
				require.NoError(t, err)
				require.NotEmpty(t, material)
			})
		})
	}
}

func TestWhatOthersEndIsAskedForSoon(t *testing.T) {
	t.Parallel()
	refused := &peers.RefusedError{Peer: "store-042-a", Reason: "it runs no cluster yet"}
	for _, err := range []error{Soon(refused), fmt.Errorf("bootstrap: %w", Soon(refused)), Wait("%w", refused)} {
		var soon interface{ Poll() time.Duration }
		require.ErrorAs(t, err, &soon)
		require.Equal(t, 10*time.Second, soon.Poll())
		require.ErrorIs(t, err, refused)
	}
}
