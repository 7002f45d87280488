package gitsource_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

func secretFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

// Long, because it is one table.
func TestHTTPSLogins(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	backend, err := gitsourcetest.Handler(filepath.Dir(f.Dir))
	require.NoError(t, err)
	ca, other := gitsourcetest.NewCA(t), gitsourcetest.NewCA(t)
	only := func(header string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != header {
				http.Error(w, "who are you", http.StatusUnauthorized)
				return
			}
			backend.ServeHTTP(w, req)
		})
	}
	bearer := ca.ServeTLS(only("Bearer t0ken"), false) + "/fleet"
	basic := ca.ServeTLS(only("Basic bWU6cGFzcw=="), false) + "/fleet"
	clients := ca.ServeTLS(backend, true) + "/fleet"
	certificate, key := ca.Certificate("host")
	strange, strangeKey := other.Certificate("host")
	for _, tt := range []struct {
		name   string
		source gitsource.Source
		want   string // "": read
	}{
		{"a token", gitsource.Source{URL: bearer, CAFile: ca.File, TokenFile: secretFile(t, "t0ken\n")}, ""},
		{"a password", gitsource.Source{URL: basic, CAFile: ca.File, Username: "me", PasswordFile: secretFile(t, "pass\n")}, ""},
		{"a client certificate", gitsource.Source{URL: clients, CAFile: ca.File, CertificateFile: certificate, KeyFile: key}, ""},
		{"a wrong token", gitsource.Source{URL: bearer, CAFile: ca.File, TokenFile: secretFile(t, "wr0ng")}, "authentication required"},
		{"a wrong password", gitsource.Source{URL: basic, CAFile: ca.File, Username: "me", PasswordFile: secretFile(t, "wr0ng")}, "authentication required"},
		{"no client certificate", gitsource.Source{URL: clients, CAFile: ca.File}, "certificate required"},
		{"a client certificate of another authority", gitsource.Source{URL: clients, CAFile: ca.File, CertificateFile: strange, KeyFile: strangeKey}, "tls: "},
		{"an authority that the system does not know", gitsource.Source{URL: bearer, TokenFile: secretFile(t, "t0ken")}, "certificate signed by unknown authority"},
		{"another authority", gitsource.Source{URL: bearer, CAFile: other.File, TokenFile: secretFile(t, "t0ken")}, "certificate signed by unknown authority"},
		{"a token that is missing", gitsource.Source{URL: bearer, CAFile: ca.File, TokenFile: "/none/token"}, "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := f.options(t)
			o.Sources = []gitsource.Source{tt.source}
			r := open(t, o)
			if tt.want == "" {
				require.Equal(t, f.Head(), poll(t, r).Commit())
				return
			}
			err := r.Fetch(context.Background())
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "wr0ng")
		})
	}
}

func TestASecretThatOthersCanReadIsNotUsed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	var asked atomic.Int32
	ca := gitsourcetest.NewCA(t)
	url := ca.ServeTLS(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }), false)
	token := secretFile(t, "t0ken")
	require.NoError(t, os.Chmod(token, 0o640))
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: url, Mirror: true, CAFile: ca.File, TokenFile: token}}
	require.ErrorContains(t, open(t, o).Fetch(context.Background()), "others can read the secret")
	require.Zero(t, asked.Load())
}

func TestANewTokenNeedsNoRestart(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	var want atomic.Value
	want.Store("Bearer old")
	ca := gitsourcetest.NewCA(t)
	files := http.FileServer(http.Dir(m.dir))
	url := ca.ServeTLS(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != want.Load() {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		files.ServeHTTP(w, req)
	}), false)
	o := m.options(t, url)
	o.Sources[0].CAFile, o.Sources[0].TokenFile = ca.File, secretFile(t, "old")
	r := open(t, o)
	poll(t, r)
	want.Store("Bearer new")
	require.ErrorContains(t, r.Fetch(context.Background()), "403")
	require.NoError(t, os.WriteFile(o.Sources[0].TokenFile, []byte("new"), 0o600))
	poll(t, r)
}

func TestCredentialsDoNotFollowARedirect(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	ca := gitsourcetest.NewCA(t)
	var leaked atomic.Int32
	files := http.FileServer(http.Dir(m.dir))
	elsewhere := ca.ServeTLS(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
		files.ServeHTTP(w, req)
	}), false)
	url := ca.ServeTLS(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, elsewhere+req.URL.Path, http.StatusFound)
	}), false)
	o := m.options(t, url)
	o.Sources[0].CAFile, o.Sources[0].TokenFile = ca.File, secretFile(t, "t0ken")
	require.Equal(t, m.Head(), poll(t, open(t, o)).Commit())
	require.Zero(t, leaked.Load())
}

func TestAProxyIsUsed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	backend, err := gitsourcetest.Handler(filepath.Dir(f.Dir))
	require.NoError(t, err)
	ca := gitsourcetest.NewCA(t)
	var tunnels, bytesSeen atomic.Int64
	proxy := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		tunnels.Add(1)
		server, err := net.Dial("tcp", req.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer server.Close()
		client, read, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		go io.Copy(server, read) // what came early is buffered there
		n, _ := io.Copy(client, io.TeeReader(server, new(bytes.Buffer)))
		bytesSeen.Add(n)
	}))
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: ca.ServeTLS(backend, false) + "/fleet", CAFile: ca.File, Proxy: proxy}}
	r := open(t, o)
	require.Equal(t, f.Head(), poll(t, r).Commit())
	require.EqualValues(t, 1, tunnels.Load())

	o = f.options(t)
	o.Sources = []gitsource.Source{{URL: f.url, Proxy: "http://127.0.0.1:1"}}
	require.ErrorContains(t, open(t, o).Fetch(context.Background()), "proxyconnect")
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, tt := range []struct {
		name   string
		source gitsource.Source
		want   string
	}{
		{"a token without TLS", gitsource.Source{URL: "http://x", TokenFile: "t"}, "need https://"},
		{"a token and a password", gitsource.Source{URL: "https://x", TokenFile: "t", Username: "u", PasswordFile: "p"}, "too much"},
		{"a password without a user", gitsource.Source{URL: "https://x", PasswordFile: "p"}, "go together"},
		{"a certificate without a key", gitsource.Source{URL: "https://x", CertificateFile: "c"}, "go together"},
		{"a proxy with a password", gitsource.Source{URL: "https://x", Proxy: "http://u:secret@x"}, "without a user"},
		{"known hosts over HTTPS", gitsource.Source{URL: "https://x", KnownHostsFile: "k"}, "are for ssh://"},
		{"SSH without known hosts", gitsource.Source{URL: "ssh://git@x/y", KeyFile: "k"}, "needs a file of known hosts"},
		{"SSH without a key", gitsource.Source{URL: "ssh://git@x/y", KnownHostsFile: "k"}, "needs a key file"},
		{"SSH with a password", gitsource.Source{URL: "ssh://git:secret@x/y", KeyFile: "k", KnownHostsFile: "k"}, "must not hold"},
		{"SSH with a proxy", gitsource.Source{URL: "ssh://git@x/y", KeyFile: "k", KnownHostsFile: "k", Proxy: "http://x"}, "nothing else"},
		{"a static mirror over SSH", gitsource.Source{URL: "ssh://git@x/y", Mirror: true}, "a static mirror is read over"},
		{"the same source twice", gitsource.Source{URL: f.url}, "is named twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := f.options(t)
			o.Sources = append(o.Sources, tt.source)
			_, err := gitsource.Open(o)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "secret")
			require.NoDirExists(t, o.Dir)
		})
	}
}
