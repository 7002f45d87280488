package gitsourcetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Nginx is a real web server that serves a folder on loopback until the test ends.
type Nginx struct {
	URL string // without a slash at its end

	t   T
	dir string
	pid int
}

// NewNginx serves root; more is put into its server block, such as "limit_rate 1k;".
func NewNginx(t T, root, more string) *Nginx {
	t.Helper()
	dir := t.TempDir()
	n := &Nginx{t: t, dir: dir}
	port := freePort(t)
	n.URL = fmt.Sprintf("http://127.0.0.1:%d", port)
	config := fmt.Sprintf(`daemon off; user root; worker_processes 2; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  log_format plain '$request_uri $status $http_range';
  access_log %[1]s/access.log plain; keepalive_requests 1000000; open_file_cache off;
  server { listen 127.0.0.1:%[2]d backlog=4096; root %[3]s; %[4]s }
}
`, dir, port, root, more)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatalf("write %s: %v", file, err)
	}
	n.pid = daemon(t, fmt.Sprintf("127.0.0.1:%d", port), exec.Command("/usr/sbin/nginx", "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", file))
	return n
}

// PID is the master process's.
func (n *Nginx) PID() int { return n.pid }

// Log lists the requests answered so far, as "path status range", once they are
// as many as least: nginx answers before it writes.
func (n *Nginx) Log(least int) []string {
	n.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(filepath.Join(n.dir, "access.log"))
		if err != nil {
			n.t.Fatalf("read log of nginx: %v", err)
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		if len(lines) >= least {
			return lines
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("nginx answered %d requests, not %d", len(lines), least)
		}
	}
}

func freePort(t T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen on loopback: %v", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// daemon runs a server until the test ends, and waits until it listens.
func daemon(t T, address string, cmd *exec.Cmd) int {
	t.Helper()
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error means that it is gone
		<-ended
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			return cmd.Process.Pid
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", cmd.Path, output.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen on %s", cmd.Path, address)
	return 0
}
