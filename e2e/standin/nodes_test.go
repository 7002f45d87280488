package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNetworksOfPods(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, cidr, address, want, err string }{
		{"the last number of the address is theirs", "10.42.0.0/16", "10.77.0.11", "10.42.11.0/24", ""},
		{"it counts from the cluster's first", "10.42.64.0/18", "10.77.0.11", "10.42.75.0/24", ""},
		{"a network outside the cluster's", "10.42.0.0/20", "10.77.0.16", "", "has no network for the node at 10.77.0.16"},
		{"a network past the last", "10.42.128.0/17", "10.77.0.200", "", "has no network"},
		{"a cluster of one network", "10.42.0.0/25", "10.77.0.0", "", "has no network"},
		{"no address", "10.42.0.0/16", "", "", "unable to parse IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := podsOf(tt.cidr, tt.address)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}
