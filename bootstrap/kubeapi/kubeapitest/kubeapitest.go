// Package kubeapitest serves what tests have an API server say.
package kubeapitest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
)

// Nodes are those of a cluster.
type Nodes []kubeapi.Node

// And adds a node.
func (list Nodes) And(name, version string, control, ready bool) Nodes {
	var o kubeapi.Node
	o.Metadata.Name, o.Status.NodeInfo.KubeletVersion = name, version
	if control {
		o.Metadata.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
	}
	status := map[bool]string{true: "True", false: "Unknown"}[ready]
	o.Status.Conditions = append(o.Status.Conditions, struct{ Type, Status, Message string }{"Ready", status, ""})
	return append(list, o)
}

// Handle answers who asks for them, or for one.
func (list *Nodes) Handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"items": *list})
	})
	mux.HandleFunc("GET /api/v1/nodes/{name}", func(w http.ResponseWriter, r *http.Request) {
		for _, o := range *list {
			if o.Metadata.Name == r.PathValue("name") {
				_ = json.NewEncoder(w).Encode(o)
				return
			}
		}
		http.NotFound(w, r)
	})
}

// Serve has an API server answer as the handler does, until the test ends.
func Serve(t *testing.T, handler http.Handler) *kubeapi.Server {
	t.Helper()
	api := httptest.NewUnstartedServer(handler)
	certificate, authority := certificateFor(t, "kubernetes")
	api.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	api.StartTLS()
	server := kubeapi.New(api.Listener.Addr().String(), authority, certificate)
	t.Cleanup(func() { server.Close(); api.Close() })
	return server
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
