package kubeadm

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

type nodes []kubeapi.Node

// and adds a node to the cluster.
func (list nodes) and(name, version string, control, ready bool) nodes {
	var o kubeapi.Node
	o.Metadata.Name, o.Status.NodeInfo.KubeletVersion = name, version
	if control {
		o.Metadata.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
	}
	status := map[bool]string{true: "True", false: "Unknown"}[ready]
	o.Status.Conditions = append(o.Status.Conditions, struct{ Type, Status, Message string }{"Ready", status, ""})
	return append(list, o)
}

func TestWhoMayBeAway(t *testing.T) {
	t.Parallel()
	const before, now = "v1.35.4", "v1.36.3"
	site := nodes{}.and("a", before, true, true).and("b", before, true, true).and("c", before, true, true).and("d", before, false, true).and("e", before, false, true)
	upgraded := nodes{}.and("a", now, true, true).and("b", now, true, true).and("c", now, true, true).and("d", before, false, true).and("e", before, false, true).and("f", before, false, true)
	for _, tt := range []struct {
		name, host string
		nodes      nodes
		away       map[string]string
		limit      int
		waits      string
	}{
		{name: "the control plane goes first", host: "b", nodes: site, limit: 1},
		{name: "a worker waits for all of it", host: "d", nodes: nodes{}.and("a", now, true, true).and("b", before, true, true).and("d", before, false, true), limit: 1, waits: "b of the control plane runs v1.35.4 still"},
		{name: "one of it at a time", host: "b", nodes: site, away: map[string]string{"a": now}, limit: 1, waits: "a is being upgraded just now"},
		{name: "none while a worker is away", host: "b", nodes: site, away: map[string]string{"d": now}, limit: 1, waits: "d is being upgraded just now"},
		{name: "none while another of it is down", host: "b", nodes: nodes{}.and("a", before, true, false).and("b", before, true, true), limit: 1, waits: "a of the control plane is not Ready"},
		{name: "a worker that is down does not hold the control plane up", host: "a", nodes: nodes{}.and("a", before, true, true).and("d", before, false, false), limit: 1},
		{name: "a worker once all of it is upgraded", host: "d", nodes: upgraded, limit: 1},
		{name: "one worker at a time", host: "e", nodes: upgraded, away: map[string]string{"d": now}, limit: 1, waits: "d away or not Ready, and maxUnavailable is 1"},
		{name: "or two", host: "e", nodes: upgraded, away: map[string]string{"d": now}, limit: 2},
		{name: "but not three", host: "f", nodes: upgraded, away: map[string]string{"d": now, "e": now}, limit: 2, waits: "d, e away or not Ready, and maxUnavailable is 2"},
		{name: "one that is down counts", host: "e", nodes: nodes{}.and("a", now, true, true).and("d", before, false, false).and("e", before, false, true), limit: 1, waits: "d away or not Ready"},
		{name: "the one that is down itself may go", host: "d", nodes: nodes{}.and("a", now, true, true).and("d", before, false, false).and("e", before, false, true), limit: 1},
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
			require.ErrorAs(t, err, &errTurn{})
		})
	}
}

// TestAnUpgradeDoesNotWaitForWhoWaitsForIt: a host joins a cluster of its version alone.
func TestAnUpgradeDoesNotWaitForWhoWaitsForIt(t *testing.T) {
	t.Parallel()
	hosts := []peers.Member{{Name: "a", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}}
	require.Equal(t, hosts[1:2], servers(slices.Clone(hosts), []member{{Name: "b"}, {Name: "z"}}), "c is registered by the same commit")
}

// TestTwoHostsDoNotLeaveAtTheSameTime: who did not read the newest state changes nothing.
func TestTwoHostsDoNotLeaveAtTheSameTime(t *testing.T) {
	t.Parallel()
	site := nodes{}.and("a", "v1.35.4", true, true).and("b", "v1.35.4", true, true)
	site[1].Spec.Unschedulable = true
	api := &fakeAPI{nodes: site, register: register{APIVersion: "v1", Kind: "ConfigMap"}}
	server := api.serve(t)
	api.meanwhile = func() { api.register.Data = map[string]string{"a": "v1.36.3"}; api.version++ }
	require.ErrorContains(t, enter(t.Context(), server, "b", "v1.36.3", 1), "another host changed who is away")
	require.Equal(t, map[string]string{"a": "v1.36.3"}, api.register.Data)
	require.ErrorContains(t, enter(t.Context(), server, "b", "v1.36.3", 1), "a is being upgraded just now")
	require.NoError(t, enter(t.Context(), server, "a", "v1.36.3", 1), "who is away already may go on")

	api.nodes = site[1:]
	require.NoError(t, enter(t.Context(), server, "b", "v1.36.3", 1), "a node that is gone is forgotten")
	require.Equal(t, map[string]string{"b": "v1.36.3 was cordoned"}, api.register.Data)
}

// fakeAPI keeps one object as an API server does.
type fakeAPI struct {
	nodes     nodes
	register  register
	version   int
	meanwhile func() // is done once, before the next write
}

func (f *fakeAPI) serve(t *testing.T) *kubeapi.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"items": f.nodes})
	})
	mux.HandleFunc("GET /api/v1/nodes/{name}", func(w http.ResponseWriter, r *http.Request) {
		if i := indexOf(f.nodes, r.PathValue("name")); i >= 0 {
			_ = json.NewEncoder(w).Encode(f.nodes[i])
			return
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("GET "+registerFolder+"/"+registerName, func(w http.ResponseWriter, _ *http.Request) {
		if f.version == 0 {
			http.NotFound(w, nil)
			return
		}
		f.register.Metadata.ResourceVersion = string(rune('0' + f.version))
		_ = json.NewEncoder(w).Encode(f.register)
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
	s := httptest.NewUnstartedServer(mux)
	certificate, authority := certificateFor(t, "kubernetes")
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return kubeapi.New(s.Listener.Addr().String(), authority, certificate)
}

// certificateFor makes one that vouches for itself.
func certificateFor(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, pool
}
