package kubeadm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// healthy asks the API server and the kubelet, each of which answers at once or not at all.
func (n *node) healthy(ctx context.Context) error {
	ca, err := os.ReadFile("/etc/kubernetes/pki/ca.crt")
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return errors.New("/etc/kubernetes/pki/ca.crt holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "kubernetes", MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: 5 * time.Second, Transport: transport}
	for _, url := range []string{"https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Cluster.APIPort)) + "/readyz", "http://127.0.0.1:10248/healthz"} {
		if err := get(ctx, &client, url); err != nil {
			return err
		}
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, reason(string(body)))
	}
	return nil
}

// ready tells whether the node is Ready in the cluster's eyes too.
func (n *node) ready(ctx context.Context) error {
	if err := n.healthy(ctx); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(n.Bin, "kubectl"), "--kubeconfig="+Kubeconfig, "get", "node", n.Host, //nolint:gosec // our own program
		`--output=jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.message}{end}`).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil || !strings.HasPrefix(text, "True") {
		return fmt.Errorf("node %s is not ready: %s", n.Host, text)
	}
	return nil
}
