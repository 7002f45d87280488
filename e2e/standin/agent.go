package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// balanced is where an agent's own parts find the API.
const balanced = "127.0.0.1:6444"

// agent runs a node of another host's cluster until it is told to end. Pods go on then.
func (l like) agent(ctx context.Context, _ documented.Command) error {
	l.unit, l.keys = l.name+"-agent", "agent key"
	s, err := l.settings()
	if err != nil {
		return err
	}
	if err := l.layOut(); err != nil {
		return err
	}
	in, err := admitted(ctx, l.data("standin/admission.json"), func() ([]byte, error) { return l.apply(ctx, s) })
	if err != nil {
		return err
	}
	c := cluster{images: l.data("agent/images"), check: l.places, cfg: embedded.Config{
		Dir: l.data("standin"), Bin: l.data("data/standin/bin"), Host: s.First("node-name"), Address: s.First("node-ip"),
		Bridge: "cni0", Pause: l.pause, Lifeline: true, Log: slog.Default(),
	}}
	return c.visit(ctx, in, l.data("agent/kubelet.kubeconfig"))
}

// visit runs a node of the cluster that has let it in until it is told to end. Its
// kubelet's kubeconfig is in the named file from when there is one.
func (c *cluster) visit(ctx context.Context, in admission, kubeconfig string) error {
	c.cfg.Server, c.cfg.PodCIDR, c.cfg.ServiceCIDR = "https://"+balanced, in.Pods, in.Services
	host, _, err := net.SplitHostPort(in.API)
	if err != nil {
		return err
	}
	if err := errors.Join(writeKeys(c.cfg.Dir, in.Keys), healthPort(c.cfg.Dir), route(ctx, in.Cluster, host), forward(ctx, balanced, in.API),
		link(map[string]string{kubeconfig: filepath.Join(c.cfg.Dir, "kubeconfig", "kubelet.json")})); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	return c.serve(ctx)
}

// admitted asks until this node is let in. One that was in goes on without, as a file says.
func admitted(ctx context.Context, file string, apply func() ([]byte, error)) (admission, error) {
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return admission{}, err
	}
	for {
		var in admission
		data, err := apply()
		if err == nil {
			err = json.Unmarshal(data, &in)
		}
		if err == nil {
			return in, os.WriteFile(file, data, 0o600)
		}
		if len(before) > 0 {
			return in, json.Unmarshal(before, &in)
		}
		fmt.Fprintln(os.Stderr, "waiting to join:", err)
		select {
		case <-ctx.Done():
			return in, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// apply asks the server once, as https://docs.k3s.io/cli/token has it: the authority that it shows must be the token's.
func (l like) apply(ctx context.Context, s documented.Settings) ([]byte, error) {
	token, err := os.ReadFile(s.First("token-file"))
	if err != nil {
		return nil, err
	}
	want, credentials, _ := strings.Cut(strings.TrimSpace(string(token)), "::")
	user, secret, _ := strings.Cut(credentials, ":")
	if !strings.HasPrefix(want, "K10") || user != "node" {
		return nil, fmt.Errorf("%s: not the token of an agent in the secure format", l.name)
	}
	server := s.First("server")
	stranger := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its answer is held against the token
	authority, err := fetch(ctx, stranger, server+"/cacerts", nil, nil)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if hashOf(authority) != want || !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s: the server's authority is not that of the token", l.name)
	}
	password, err := nodePassword()
	if err != nil {
		return nil, err
	}
	who := application{Name: s.First("node-name"), Password: password, Address: s.First("node-ip")}
	return ask(ctx, server, pool, who, func(r *http.Request) { r.SetBasicAuth(user, secret) })
}

// ask sends an application to a server of the authority.
func ask(ctx context.Context, server string, authority *x509.CertPool, who application, with func(*http.Request)) ([]byte, error) {
	body, err := json.Marshal(who)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS13}}}
	return fetch(ctx, client, server+"/v1-standin/join", body, with)
}

func fetch(ctx context.Context, client *http.Client, url string, body []byte, with func(*http.Request)) ([]byte, error) {
	defer client.CloseIdleConnections()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if with != nil {
		with(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, data)
	}
	return data, err
}

// nodePassword is what the server knows this node by, from when it first joined.
func nodePassword() (string, error) {
	const file = "/etc/rancher/node/password"
	data, err := os.ReadFile(file)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return string(data), err
	}
	password := rand.Text()
	return password, errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(password), 0o600))
}

// healthPort has the kubelet say how it is where a real one does.
func healthPort(dir string) error {
	file := filepath.Join(dir, "etc", "ports.json")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(`{"kubeletHealth":10248}`), 0o600))
}

// forward hands connections on to another address until ctx ends.
func forward(ctx context.Context, from, to string) error {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go handOn(conn, to)
		}
	}()
	return nil
}

func handOn(conn net.Conn, to string) {
	defer conn.Close()
	other, err := net.DialTimeout("tcp", to, 10*time.Second)
	if err != nil {
		return
	}
	defer other.Close()
	go func() {
		_, _ = io.Copy(other, conn) // each ends with its connections
		other.Close()
	}()
	_, _ = io.Copy(conn, other)
}
