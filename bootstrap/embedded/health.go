package embedded

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const maxAnswer = 4 << 20

// await repeats check until it succeeds. When ctx ends first, or the
// supervisor does, the error says what was missing and what the logs say.
func (n *node) await(ctx context.Context, check func(context.Context) error) error {
	grace := time.Now().Add(5 * time.Second) // for the supervisor to take its lock
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if n.holder() == 0 && time.Now().After(grace) {
			return fmt.Errorf("the supervisor ended: %s", n.lastWords("start"))
		}
		if late := pause(ctx); late != nil {
			return fmt.Errorf("%w: %w%s", late, err, n.logs())
		}
	}
}

// logs quotes the end of each process's log.
func (n *node) logs() string {
	var b strings.Builder
	for _, p := range n.spec.Processes {
		if words := n.lastWords(p.Name); words != "" {
			fmt.Fprintf(&b, "\n%s: %s", p.Name, words)
		}
	}
	return b.String()
}

// lastWords returns the last line of a log, shortened.
func (n *node) lastWords(name string) string {
	f, err := os.Open(filepath.Join(n.Dir, "log", name+".log"))
	if err != nil {
		return ""
	}
	defer f.Close()
	const tail = 4096
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		_, _ = f.Seek(-tail, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(f, tail))
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	last := string(lines[len(lines)-1])
	if len(last) > 300 {
		last = last[:300] + "…"
	}
	return last
}

// healthy returns nil if the API is ready and, on a full node, so is the node.
func (n *node) healthy(ctx context.Context) error {
	client, err := n.asAgent()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if _, err := get(ctx, client, n.server()+"/readyz"); err != nil || n.ControlPlane {
		return err
	}
	data, err := get(ctx, client, n.server()+"/api/v1/nodes/"+n.Host)
	if err != nil {
		return err
	}
	var have struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(data, &have); err != nil {
		return fmt.Errorf("read node %s: %w", n.Host, err)
	}
	for _, c := range have.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		} else if c.Type == "Ready" {
			return fmt.Errorf("node %s is not ready: %s", n.Host, c.Message)
		}
	}
	return errors.New("node " + n.Host + " is not ready")
}

// asAgent speaks to the API as the agent.
func (n *node) asAgent() (*http.Client, error) {
	ca, err := os.ReadFile(n.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	cert, err := tls.LoadX509KeyPair(n.pki(n.agent()+".pem"), n.pki(n.agent()+".pem"))
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
	}}, nil
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("get %s: %s", url, resp.Status)
	}
	return data, err
}
