package site

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestTheWayBack goes through what the hosts of a site may say to one that is to go back
// to v1.35.4: w is a worker, a, b and c are the control plane.
func TestTheWayBack(t *testing.T) {
	t.Parallel()
	const version = "v1.35.4"
	members := []peers.Member{{Name: "a", Role: fleet.ControlPlane}, {Name: "w", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}}
	part := func(runs, returns string, kept ...string) Answer {
		return Answer{Cluster: peers.Cluster{Known: true, Gives: runs != "", Version: runs, Returns: returns, Kept: kept}}
	}
	newer, kept, leads, is := part("v1.36.3", ""), part("v1.36.3", "", "v1.34.1", version), part("v1.36.3", version, version), part(version, "")
	left, off := Answer{}, Answer{Err: errors.New("no route to host")}
	for _, tt := range []struct {
		name, host string
		keeps      bool
		said       said
		through    string
		keeper     bool
		waits      string
	}{
		{"the first that kept it does, once the others have left", "a", true, said{"b": left, "c": left, "w": newer}, "", true, ""},
		{"not before", "a", true, said{"b": left, "c": kept, "w": newer}, "", true, "c has to leave the cluster first"},
		{"one that is off may be part of it", "a", true, said{"b": off, "c": left, "w": newer}, "", false, "b has to leave the cluster, too, and does not answer; if it will not come back, it is taken out with state: removed: no route to host"},
		{"a worker need not answer", "a", true, said{"b": left, "c": left, "w": off}, "", true, ""},
		{"the others leave through it", "c", true, said{"a": leads, "b": kept, "w": newer}, "a", false, ""},
		{"not before it is ready for that", "c", true, said{"a": kept, "b": kept, "w": newer}, "", false, "with what a has kept, which is not ready to do so yet"},
		{"a rebuilt first one has nothing, so the next does", "b", true, said{"a": left, "c": left, "w": newer}, "", true, ""},
		{"and the first one leaves through that", "a", false, said{"b": leads, "c": kept, "w": newer}, "b", false, ""},
		{"an earlier one that is off may have it", "c", true, said{"a": left, "b": off, "w": newer}, "", false, "b has to leave the cluster, too, and does not answer"},
		{"nobody leaves while one is off", "b", true, said{"a": leads, "c": off, "w": newer}, "", false, "c has to leave the cluster, too, and does not answer"},
		{"to another version is nothing", "c", false, said{"a": part("v1.36.3", "v1.34.1", "v1.34.1"), "b": newer, "w": newer}, "", false, "nothing is left of what the cluster was with v1.35.4"},
		{"an upgrade that did not come to all is undone without loss", "a", true, said{"b": newer, "c": is, "w": newer}, "c", false, ""},
		{"a server that is back takes the others in", "b", true, said{"a": is, "c": left, "w": newer}, "a", false, ""},
		{"a worker leaves then", "w", false, said{"a": is, "b": left, "c": off}, "a", false, ""},
		{"not before", "w", false, said{"a": leads, "b": left, "c": left}, "", false, "no host of the control plane runs v1.35.4 yet"},
		{"none that changes is joined", "w", false, said{"a": part("", "", version), "b": left, "c": left}, "", false, "no host of the control plane runs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			way, err := Hosts{Host: tt.host, Members: members, Peers: tt.said}.WayBack(t.Context(), version, tt.keeps)
			through := ""
			if way.Through != nil {
				through = way.Through.Name
			}
			require.Equal(t, tt.through, through)
			require.Equal(t, tt.keeper, way.Keeper)
			if tt.waits == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.waits)
			var hinted interface{ Hint() string }
			require.ErrorAs(t, err, &hinted)
		})
	}
}

// letter lets hosts go, or says why it does not.
type letter struct {
	Peers
	why   error
	asked *[]string
}

func (l letter) Leave(_ context.Context, through peers.Member, back string) error {
	*l.asked = append(*l.asked, through.Name+" for "+back)
	return l.why
}

// TestAHostIsTakenApartOnlyOnceItIsLetGo, and is back soon, for it joins anew.
func TestAHostIsTakenApartOnlyOnceItIsLetGo(t *testing.T) {
	t.Parallel()
	way := Way{Through: &peers.Member{Name: "a"}}
	for _, tt := range []struct {
		name       string
		why, apart error
		departs    bool
		want       string
	}{
		{"it is let go", nil, nil, true, "this host has left its cluster, and joins it with v1.35.4"},
		{"it is not", errors.New("etcd has too few members"), nil, false, "to go back to v1.35.4 this host has to leave its cluster first: etcd has too few members"},
		{"it cannot be taken apart", nil, errors.New("read-only file system"), true, "read-only file system"},
	} {
		var asked []string
		departed := false
		err := way.Leave(t.Context(), letter{why: tt.why, asked: &asked}, "v1.35.4", slog.New(slog.DiscardHandler), func() error { departed = true; return tt.apart })
		require.EqualError(t, err, tt.want, tt.name)
		require.Equal(t, []string{"a for v1.35.4"}, asked, tt.name)
		require.Equal(t, tt.departs, departed, tt.name)
		var soon interface{ Poll() time.Duration }
		require.Equal(t, tt.apart == nil, errors.As(err, &soon), tt.name)
	}
}
