package embeddedtest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNobodyElseGetsAPort(t *testing.T) {
	t.Parallel()
	var mine []int
	t.Run("while it is held", func(t *testing.T) {
		mine = Ports(t, 3)
		for _, port := range mine {
			_, err := reserve(port)
			require.Error(t, err)
		}
	})
	require.Len(t, mine, 3)
}
