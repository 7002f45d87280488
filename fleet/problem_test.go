package fleet_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestJoinLosesNothing(t *testing.T) {
	t.Parallel()
	a, b := &fleet.Problem{File: "a.yaml", Msg: "first"}, &fleet.Problem{File: "b.yaml", Msg: "second"}
	disk, network := errors.New("disk is gone"), fmt.Errorf("network: %w", errors.New("down"))
	joined := fleet.Join(fleet.Join(b, disk), nil, fleet.Join(network, b), a)
	require.EqualError(t, joined, errors.Join(a, b, disk, network).Error())
	require.ErrorIs(t, joined, disk)
	require.NoError(t, fleet.Join(nil, fleet.Join(), nil))
}
