package site

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestWhoMakesTheClusterAndWhoJoins goes through what the hosts of a site may say.
func TestWhoMakesTheClusterAndWhoJoins(t *testing.T) {
	t.Parallel()
	members := []peers.Member{{Name: "a", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}, {Name: "d", Role: fleet.ControlPlane}}
	silent := Answer{Err: errors.New("connection refused")}
	none, known, gives := Answer{}, Answer{Cluster: peers.Cluster{Known: true}}, Answer{Cluster: peers.Cluster{Known: true, Gives: true}}
	for _, tt := range []struct {
		name, host string
		said       map[string]Answer
		joins      string // through whom; empty: it makes the cluster
		waits      string // why it does neither
	}{
		{"the first makes it once the others know of none", "b", map[string]Answer{"a": none, "c": none, "d": none}, "", ""},
		{"a worker that is off does not keep it from that", "b", map[string]Answer{"a": silent, "c": none, "d": none}, "", ""},
		{"one that is off may know of a cluster", "b", map[string]Answer{"a": none, "c": none, "d": silent}, "", "d may know of a cluster, and does not answer: connection refused"},
		{"one that was not asked may, too", "b", map[string]Answer{"c": none}, "", "d may know of a cluster"},
		{"a first one that was installed again joins", "b", map[string]Answer{"a": known, "c": gives, "d": silent}, "c", ""},
		{"it does not make another where one was", "b", map[string]Answer{"a": none, "c": known, "d": none}, "", "c is part of a cluster, or was, but none"},
		{"nor where only a worker knows of it", "b", map[string]Answer{"a": known, "c": none, "d": none}, "", "a is part of a cluster, or was, but none"},
		{"the second waits for the first", "c", map[string]Answer{"a": none, "b": none, "d": none}, "", "b, the first of the control plane, has made no cluster yet"},
		{"also if that is off", "c", map[string]Answer{"a": none, "b": silent, "d": none}, "", "b, the first of the control plane, has made no cluster yet: connection refused"},
		{"the second joins the first", "c", map[string]Answer{"b": gives, "d": none}, "b", ""},
		{"or the third, if the first is off", "c", map[string]Answer{"b": silent, "d": gives}, "d", ""},
		{"a worker joins", "a", map[string]Answer{"b": none, "c": gives, "d": silent}, "c", ""},
		{"a worker never makes it", "a", map[string]Answer{"b": none, "c": none, "d": none}, "", "b, the first of the control plane, has made no cluster yet"},
		{"a worker lets nobody join", "b", map[string]Answer{"a": gives, "c": none, "d": none}, "", "a is part of a cluster, or was, but none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			through, err := Hosts{Host: tt.host, Members: members}.choose(tt.said)
			switch {
			case tt.waits != "":
				require.ErrorContains(t, err, tt.waits)
				var hinted interface{ Hint() string }
				require.ErrorAs(t, err, &hinted)
				require.NotEmpty(t, hinted.Hint())
			case tt.joins == "":
				require.NoError(t, err)
				require.Nil(t, through)
			default:
				require.NoError(t, err)
				require.Equal(t, tt.joins, through.Name)
			}
		})
	}
}

func TestTheHostItselfIsOfItsSite(t *testing.T) {
	t.Parallel()
	h := Hosts{Host: "b", Members: []peers.Member{{Name: "a"}}}
	for name, has := range map[string]bool{"a": true, "b": true, "c": false} {
		require.Equal(t, has, h.Has(name), name)
	}
}

// said are members by what they say.
type said map[string]Answer

func (s said) Cluster(_ context.Context, of peers.Member) (peers.Cluster, error) {
	return s[of.Name].Cluster, s[of.Name].Err
}

// TestNoClusterIsRestoredBesideAnother goes through what the hosts of a site may say to one
// that makes its cluster of a backup.
func TestNoClusterIsRestoredBesideAnother(t *testing.T) {
	t.Parallel()
	members := []peers.Member{{Name: "a", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}, {Name: "d", Role: fleet.ControlPlane}}
	lost := Answer{Err: errors.New("no route to host")}
	none, known, gives := Answer{}, Answer{Cluster: peers.Cluster{Known: true}}, Answer{Cluster: peers.Cluster{Known: true, Gives: true}}
	for _, tt := range []struct {
		name string
		said said
		want string
	}{
		{"all are new", said{"a": none, "b": none, "d": none}, ""},
		{"the others are lost, but for a worker", said{"a": known, "b": lost, "d": lost}, ""},
		{"one of them runs the cluster", said{"a": known, "b": lost, "d": gives}, "d is part of a cluster of the site"},
		{"one has its data, and may run it once it has a quorum", said{"a": known, "b": known, "d": lost}, "b is part of a cluster of the site"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := Hosts{Host: "c", Members: members, Peers: tt.said}.MayRestore(t.Context())
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			var hinted interface{ Hint() string }
			require.ErrorAs(t, err, &hinted)
			require.Contains(t, hinted.Hint(), "holdfast reset")
			var soon interface{ Poll() time.Duration }
			require.ErrorAs(t, err, &soon)
		})
	}
}
