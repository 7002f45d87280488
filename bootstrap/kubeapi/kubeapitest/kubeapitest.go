// Package kubeapitest serves what tests have an API server say.
package kubeapitest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	kubeconfig, port := ServeAt(t, "127.0.0.1", handler)
	server, err := kubeapi.Open(kubeconfig, port)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return server
}

// ServeAt has it do so at an address of this machine, for who has the kubeconfig.
func ServeAt(t *testing.T, host string, handler http.Handler) (kubeconfig string, port int) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	require.NoError(t, err)
	api := httptest.NewUnstartedServer(handler)
	require.NoError(t, api.Listener.Close())
	api.Listener = listener
	certificate, key := certificateFor(t, "kubernetes")
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	api.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	api.StartTLS()
	t.Cleanup(api.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := ""
	for name, data := range map[string][]byte{"certificate-authority": certificate, "client-certificate": certificate, "client-key": key} {
		text += name + "-data: " + base64.StdEncoding.EncodeToString(data) + "\n"
	}
	require.NoError(t, os.WriteFile(kubeconfig, []byte(text), 0o600))
	return kubeconfig, listener.Addr().(*net.TCPAddr).Port
}

// certificateFor makes one that vouches for itself, and its key.
func certificateFor(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
