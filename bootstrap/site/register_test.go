package site

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
)

func TestWhoMayBeAway(t *testing.T) {
	t.Parallel()
	const before, now = "v1.35.4", "v1.36.3"
	hosts := kubeapitest.Nodes{}.And("a", before, true, true).And("b", before, true, true).And("c", before, true, true).And("d", before, false, true).And("e", before, false, true)
	upgraded := kubeapitest.Nodes{}.And("a", now, true, true).And("b", now, true, true).And("c", now, true, true).And("d", before, false, true).And("e", before, false, true).And("f", before, false, true)
	for _, tt := range []struct {
		name, host string
		nodes      kubeapitest.Nodes
		away       map[string]string
		limit      int
		waits      string
	}{
		{name: "the control plane goes first", host: "b", nodes: hosts, limit: 1},
		{name: "a worker waits for all of it", host: "d", nodes: kubeapitest.Nodes{}.And("a", now, true, true).And("b", before, true, true).And("d", before, false, true), limit: 1, waits: "b of the control plane runs v1.35.4 still"},
		{name: "one of it at a time", host: "b", nodes: hosts, away: map[string]string{"a": now}, limit: 1, waits: "a is being upgraded just now"},
		{name: "none while a worker is away", host: "b", nodes: hosts, away: map[string]string{"d": now}, limit: 1, waits: "d is being upgraded just now"},
		{name: "none while another of it is down", host: "b", nodes: kubeapitest.Nodes{}.And("a", before, true, false).And("b", before, true, true), limit: 1, waits: "a of the control plane is not Ready"},
		{name: "a worker that is down does not hold the control plane up", host: "a", nodes: kubeapitest.Nodes{}.And("a", before, true, true).And("d", before, false, false), limit: 1},
		{name: "a worker once all of it is upgraded", host: "d", nodes: upgraded, limit: 1},
		{name: "one worker at a time", host: "e", nodes: upgraded, away: map[string]string{"d": now}, limit: 1, waits: "d away or not Ready, and maxUnavailable is 1"},
		{name: "or two", host: "e", nodes: upgraded, away: map[string]string{"d": now}, limit: 2},
		{name: "but not three", host: "f", nodes: upgraded, away: map[string]string{"d": now, "e": now}, limit: 2, waits: "d, e away or not Ready, and maxUnavailable is 2"},
		{name: "one that is down counts", host: "e", nodes: kubeapitest.Nodes{}.And("a", now, true, true).And("d", before, false, false).And("e", before, false, true), limit: 1, waits: "d away or not Ready"},
		{name: "the one that is down itself may go", host: "d", nodes: kubeapitest.Nodes{}.And("a", now, true, true).And("d", before, false, false).And("e", before, false, true), limit: 1},
		{name: "no worker while one of the control plane is away", host: "d", nodes: upgraded, away: map[string]string{"c": now}, limit: 1, waits: "c is being upgraded just now"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := mayLeave(tt.host, now, tt.away, tt.nodes, tt.limit)
			if tt.waits == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.waits)
			require.ErrorAs(t, err, &WaitError{})
		})
	}
}

// TestTwoHostsDoNotLeaveAtTheSameTime: who did not read the newest state changes nothing.
func TestTwoHostsDoNotLeaveAtTheSameTime(t *testing.T) {
	t.Parallel()
	hosts := kubeapitest.Nodes{}.And("a", "v1.35.4", true, true).And("b", "v1.35.4", true, true)
	hosts[1].Spec.Unschedulable = true
	api := &fakeAPI{nodes: hosts, register: register{APIVersion: "v1", Kind: "ConfigMap"}}
	server := api.serve(t)
	api.meanwhile = func() { api.register.Data = map[string]string{"a": "v1.36.3"}; api.version++ }
	require.ErrorContains(t, Enter(t.Context(), server, "b", "v1.36.3", 1), "another host changed who is away")
	require.Equal(t, map[string]string{"a": "v1.36.3"}, api.register.Data)
	require.ErrorContains(t, Enter(t.Context(), server, "b", "v1.36.3", 1), "a is being upgraded just now")
	require.NoError(t, Enter(t.Context(), server, "a", "v1.36.3", 1), "who is away already may go on")

	api.nodes = hosts[1:]
	require.NoError(t, Enter(t.Context(), server, "b", "v1.36.3", 1), "a node that is gone is forgotten")
	require.Equal(t, map[string]string{"b": "v1.36.3 was cordoned"}, api.register.Data)
}

// fakeAPI keeps one object as an API server does.
type fakeAPI struct {
	nodes     kubeapitest.Nodes
	register  register
	version   int
	lease     string // of who leads the controllers, if somebody has to
	meanwhile func() // is done once, before the next write
}

func (f *fakeAPI) serve(t *testing.T) *kubeapi.Server {
	t.Helper()
	mux := http.NewServeMux()
	f.nodes.Handle(mux)
	mux.HandleFunc("GET "+registerFolder+"/"+registerName, func(w http.ResponseWriter, _ *http.Request) {
		if f.version == 0 {
			http.NotFound(w, nil)
			return
		}
		f.register.Metadata.ResourceVersion = string(rune('0' + f.version))
		_ = json.NewEncoder(w).Encode(f.register)
	})
	mux.HandleFunc("GET "+controllersLease, func(w http.ResponseWriter, r *http.Request) {
		if f.lease == "" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, f.lease)
	})
	write := func(w http.ResponseWriter, r *http.Request) {
		if f.meanwhile != nil {
			f.meanwhile()
			f.meanwhile = nil
		}
		var sent register
		_ = json.NewDecoder(r.Body).Decode(&sent)
		has := ""
		if f.version > 0 {
			has = string(rune('0' + f.version))
		}
		if sent.Metadata.ResourceVersion != has {
			w.WriteHeader(http.StatusConflict)
			return
		}
		f.register = sent
		f.version++
		_ = json.NewEncoder(w).Encode(sent)
	}
	mux.HandleFunc("POST "+registerFolder, write)
	mux.HandleFunc("PUT "+registerFolder+"/"+registerName, write)
	return kubeapitest.Serve(t, mux)
}
