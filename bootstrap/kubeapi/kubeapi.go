// Package kubeapi asks an API server of this host how it and its nodes are.
package kubeapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// maxAnswer is the largest answer that is read, in bytes.
const maxAnswer = 8 << 20

// Server is what listens on this host for a cluster's API. It is closed after use.
type Server struct {
	base   string
	client http.Client
}

// Open takes the administrator's rights from a kubeconfig, as kubeadm, k3s, RKE2 and k0s write it.
func Open(kubeconfig string, port int) (*Server, error) {
	pair, err := credentials(kubeconfig)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pair["certificate-authority-data"]) {
		return nil, errors.New(kubeconfig + " holds no certificate of an authority")
	}
	admin, err := Certificate(kubeconfig)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{admin}, ServerName: "kubernetes", MinVersion: tls.VersionTLS12}}
	return &Server{
		base:   "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		client: http.Client{Timeout: 5 * time.Second, Transport: transport},
	}, nil
}

// Close ends its connections.
func (s *Server) Close() { s.client.CloseIdleConnections() }

// Certificate is what a kubeconfig logs in with.
func Certificate(kubeconfig string) (tls.Certificate, error) {
	pair, err := credentials(kubeconfig)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := tls.X509KeyPair(pair["client-certificate-data"], pair["client-key-data"])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", kubeconfig, err)
	}
	return cert, nil
}

// credentials are the certificates and the key within a kubeconfig.
func credentials(kubeconfig string) (map[string][]byte, error) {
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	pair := map[string][]byte{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasSuffix(key, "-data") {
			if pair[key], err = base64.StdEncoding.DecodeString(value); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", kubeconfig, key, err)
			}
		}
	}
	return pair, nil
}

// Ready tells whether the API is.
func (s *Server) Ready(ctx context.Context) error { return s.Get(ctx, "/readyz", nil) }

// NodeReady tells whether a node is Ready in the cluster's eyes.
func (s *Server) NodeReady(ctx context.Context, name string) error {
	var own Node
	if err := s.Get(ctx, "/api/v1/nodes/"+name, &own); err != nil {
		return err
	}
	for _, c := range own.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		} else if c.Type == "Ready" {
			return fmt.Errorf("node %s is not ready: %s", name, c.Message)
		}
	}
	return errors.New("node " + name + " is not ready: its kubelet has not said anything yet")
}

// Get asks for a path and reads the answer into what is not nil.
func (s *Server) Get(ctx context.Context, path string, into any) error {
	return Get(ctx, &s.client, s.base+path, into)
}

// Get asks an address and reads the answer, if it is a good one, into what is not nil.
func Get(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, system.Reason(string(body)))
	}
	if err == nil && into != nil {
		err = json.Unmarshal(body, into)
	}
	return err
}

// Node is what is read of a Node.
type Node struct {
	Metadata struct{ Name string }
	Spec     struct{ PodCIDR string }
	Status   struct {
		Addresses  []struct{ Type, Address string }
		Conditions []struct{ Type, Status, Message string }
	}
}

// Address is where its kubelet is.
func (o *Node) Address() string {
	for _, a := range o.Status.Addresses {
		if a.Type == "InternalIP" {
			return a.Address
		}
	}
	return ""
}
