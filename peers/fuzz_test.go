package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/fleet"
)

type nothing struct{ given, moved int }

func (*nothing) Cluster(context.Context) (Cluster, error) { return Cluster{}, nil }
func (n *nothing) Give(context.Context, Member) (Material, error) {
	n.given++
	return Material{}, nil
}

func (n *nothing) Away(context.Context, Member, bool) error    { n.moved++; return nil }
func (n *nothing) Back(context.Context, Member) error          { n.moved++; return nil }
func (n *nothing) LetGo(context.Context, Member, string) error { n.moved++; return nil }

// FuzzRequest is what a member's machine may send once its key is known: nothing is
// given, and no node moved, for anything but the one request for it.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("POST /v1/join HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST /v1/leave HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST /v1/away?anew=true HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("GET /v1/cluster HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("GET /v1/join/../join HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		public, private, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		line, err := ssh.NewPublicKey(public)
		require.NoError(t, err)
		local := &nothing{}
		s := Server{Key: private, Local: local, Log: slog.New(slog.DiscardHandler), members: map[string]Member{}}
		handler := s.handler()

		answer := httptest.NewRecorder()
		req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{PublicKey: public}}}
		handler.ServeHTTP(answer, req)
		require.NotEqual(t, http.StatusOK, answer.Code, "it is no member")
		require.Zero(t, local.given+local.moved)

		s.members[string(public)] = Member{Name: "b", Identity: string(ssh.MarshalAuthorizedKey(line)), Role: fleet.Worker}
		answer = httptest.NewRecorder()
		handler.ServeHTTP(answer, req)
		if answer.Code == http.StatusOK && local.given > 0 {
			require.Equal(t, http.MethodPost, req.Method)
			require.Equal(t, "/v1/join", req.URL.Path)
		}
		if local.moved > 0 {
			require.Equal(t, http.MethodPost, req.Method)
		}
	})
}

// FuzzAnswer is what a peer may answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"known":true,"gives":true,"nodes":[{"name":"a","address":"10.0.0.11","pods":"10.244.0.0/24"}]}`))
	f.Add([]byte(`{"ca.crt":"AAAA"}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = parseCluster(data)
		var m Material
		_ = parse(data, &m)
		for _, r := range printable(data) {
			require.GreaterOrEqual(t, r, ' ')
		}
	})
}

func TestThereAreSeedsForTheFuzzers(t *testing.T) {
	t.Parallel()
	for _, fuzzer := range []string{"FuzzRequest", "FuzzAnswer"} {
		entries, err := os.ReadDir("testdata/fuzz/" + fuzzer)
		require.NoError(t, err)
		require.NotEmpty(t, entries)
	}
}
