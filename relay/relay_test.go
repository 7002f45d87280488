package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server answers each line with its name, and ends when the test does, or when told.
func server(t *testing.T, name string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintf(conn, "%s heard %s\n", name, lines.Text())
				}
				fmt.Fprintf(conn, "%s says goodbye\n", name)
			}()
		}
	}()
	return l
}

func start(t *testing.T, servers ...net.Listener) (address, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "servers")
	list(t, file, servers...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := &Relay{Listener: l, Servers: file, Log: slog.New(slog.DiscardHandler)}
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return l.Addr().String(), file
}

func list(t *testing.T, file string, servers ...net.Listener) {
	t.Helper()
	var text strings.Builder
	for _, s := range servers {
		fmt.Fprintln(&text, s.Addr())
	}
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
}

// ask says hello to the relay, closes its own side, and returns all of the answer.
func ask(address string) string {
	conn, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	_ = conn.(*net.TCPConn).CloseWrite()
	all, _ := io.ReadAll(conn)
	return string(all)
}

func TestServersTakeTurns(t *testing.T) {
	t.Parallel()
	address, _ := start(t, server(t, "a"), server(t, "b"), server(t, "c"))
	count := map[string]int{}
	for range 9 {
		answer := ask(address)
		count[answer[:1]]++
		require.Equal(t, fmt.Sprintf("%[1]s heard hello\n%[1]s says goodbye\n", answer[:1]), answer, "each way ends by itself")
	}
	require.Equal(t, map[string]int{"a": 3, "b": 3, "c": 3}, count)
}

func TestAServerThatIsGoneIsPassedBy(t *testing.T) {
	t.Parallel()
	a, b := server(t, "a"), server(t, "b")
	address, _ := start(t, a, b)
	a.Close()
	for range 4 {
		require.Contains(t, ask(address), "b heard hello")
	}
	b.Close()
	require.Empty(t, ask(address))
}

func TestTheListMayChange(t *testing.T) {
	t.Parallel()
	a, b := server(t, "a"), server(t, "b")
	address, file := start(t, a)
	require.Contains(t, ask(address), "a heard hello")
	list(t, file, b)
	require.Contains(t, ask(address), "b heard hello")
	require.NoError(t, os.WriteFile(file, []byte("nonsense\n"), 0o600))
	require.Empty(t, ask(address))
	list(t, file, a)
	require.Contains(t, ask(address), "a heard hello")
}

func TestAServerThatIsNotReadyIsLeft(t *testing.T) {
	t.Parallel()
	a, b := server(t, "a"), server(t, "b")
	file := filepath.Join(t.TempDir(), "servers")
	list(t, file, a, b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var unready sync.Map // addresses
	is := func(_ context.Context, at netip.AddrPort) bool { _, not := unready.Load(at.String()); return !not }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := &Relay{Listener: l, Servers: file, Ready: is, Log: slog.New(slog.DiscardHandler), every: time.Millisecond}
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	hold := func() (net.Conn, string) {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintln(conn, "hello")
		answer, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		return conn, answer[:1]
	}
	held := map[string]net.Conn{}
	for len(held) < 2 {
		conn, name := hold()
		held[name] = conn
	}

	unready.Store(a.Addr().String(), true)
	_, err = io.ReadAll(held["a"]) // until the relay ends it
	require.NoError(t, err)
	for range 4 {
		require.Contains(t, ask(l.Addr().String()), "b heard hello")
	}

	unready.Store(b.Addr().String(), true)
	looked := func() bool {
		r.is.mu.Lock()
		defer r.is.mu.Unlock()
		return len(r.is.failed) == 2 && r.is.failed[addressOf(b)] > 2
	}
	require.Eventually(t, looked, time.Minute, time.Millisecond)
	fmt.Fprintln(held["b"], "hello")
	answer, err := bufio.NewReader(held["b"]).ReadString('\n')
	require.NoError(t, err, "where none is ready, none is left")
	require.Equal(t, "b heard hello\n", answer)

	unready.Delete(a.Addr().String())
	_, err = io.ReadAll(held["b"])
	require.NoError(t, err)
	require.Contains(t, ask(l.Addr().String()), "a heard hello")
}

func addressOf(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

func TestReadyz(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	for status, want := range map[int]bool{200: true, 403: true, 500: false, 0: false} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
			require.Equal(t, "/readyz", asked.URL.Path)
			if status == 0 {
				<-end
				return
			}
			w.WriteHeader(status)
		}))
		defer s.Close()
		require.Equal(t, want, Readyz(t.Context(), addressOf(s.Listener)), "status %d", status)
	}
	close(end)
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	gone.Close()
	require.False(t, Readyz(t.Context(), addressOf(gone.Listener)))
}

func FuzzParseServers(f *testing.F) {
	f.Add("10.0.0.11:6443\n10.0.0.12:6443\n")
	f.Add("[fd00::1]:6443\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		servers, err := parseServers(text)
		require.Equal(t, err != nil, len(servers) == 0)
		for _, s := range servers {
			require.True(t, s.IsValid())
		}
	})
}
