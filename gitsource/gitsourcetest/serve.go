package gitsourcetest

import (
	"context"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Handler serves the repositories in root over smart HTTP by git http-backend:
// /NAME is the repository root/NAME. Pushing needs http.receivepack there.
func Handler(root string) (http.Handler, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, err
	}
	return &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"},
		Stderr: os.Stderr,
	}, nil
}

// Serve serves the repository dir over smart HTTP on loopback until the test
// ends, and returns its URL.
func Serve(t T, dir string) string {
	t.Helper()
	handler, err := Handler(filepath.Dir(dir))
	if err != nil {
		t.Fatalf("find git http-backend: %v", err)
	}
	return ServeHandler(t, handler) + "/" + filepath.Base(dir)
}

// ServeHandler serves h on loopback until the test ends, and returns its URL.
func ServeHandler(t T, h http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen on loopback: %v", err)
	}
	return "http://" + serve(t, listener, h)
}

// serve returns the address of the listener, which is closed when the test ends.
func serve(t T, listener net.Listener, h http.Handler) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: h, BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		cancel()
		server.Close()
		<-done
	})
	return listener.Addr().String()
}
