// Package kubeapi asks an API server how it and its nodes are, and has it let nodes go.
package kubeapi

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// Server is what listens for a cluster's API. It is closed after use.
type Server struct {
	base   string
	client http.Client
}

// Open takes the administrator's rights from a kubeconfig, as kubeadm, k3s, RKE2 and
// k0s write it, to the server of this host.
func Open(kubeconfig string, port int) (*Server, error) {
	return OpenAt(kubeconfig, "127.0.0.1", port)
}

// OpenAt does so to that of another host of the control plane.
func OpenAt(kubeconfig, host string, port int) (*Server, error) {
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
	return New(net.JoinHostPort(host, strconv.Itoa(port)), pool, admin), nil
}

// New asks at an address, as who has the certificate; the server shows one of the
// authority for the name kubernetes.
func New(address string, authority *x509.CertPool, own tls.Certificate) *Server {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, Certificates: []tls.Certificate{own}, ServerName: "kubernetes", MinVersion: tls.VersionTLS12}}
	return &Server{base: "https://" + address, client: http.Client{Timeout: 5 * time.Second, Transport: transport}}
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

// Authority is the digest of the certificate that a kubeconfig knows its cluster by.
func Authority(kubeconfig string) (string, error) {
	pair, err := credentials(kubeconfig)
	if err == nil && len(pair["certificate-authority-data"]) == 0 {
		err = errors.New(kubeconfig + " holds no certificate of an authority")
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(pair["certificate-authority-data"])), nil
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
	if ready, message := own.Ready(); !ready {
		return fmt.Errorf("node %s is not ready: %s", name, message)
	}
	return nil
}

// Nodes lists the cluster's.
func (s *Server) Nodes(ctx context.Context) ([]Node, error) {
	var list struct{ Items []Node }
	err := s.Get(ctx, "/api/v1/nodes", &list)
	return list.Items, err
}

// KeepNodes removes those of other names from the cluster, and says which.
func (s *Server) KeepNodes(ctx context.Context, keep func(name string) bool) (gone []string, err error) {
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		name := node.Metadata.Name
		if keep(name) {
			continue
		}
		if err := s.Delete(ctx, "/api/v1/nodes/"+name); err != nil {
			return gone, err
		}
		gone = append(gone, name)
	}
	return gone, nil
}

// Get asks for a path and reads the answer into what is not nil.
func (s *Server) Get(ctx context.Context, path string, into any) error {
	return Get(ctx, &s.client, s.base+path, into)
}

// Delete removes the object of a path; one that is not there is removed.
func (s *Server) Delete(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.base+path, nil)
	if err != nil {
		return err
	}
	if err := ask(&s.client, req, nil); !NotFound(err) {
		return err
	}
	return nil
}

// Send writes an object to a path: POST makes it in a folder, PUT replaces it.
func (s *Server) Send(ctx context.Context, method, path string, value any) error {
	req, err := request(ctx, method, s.base+path, value)
	if err != nil {
		return err
	}
	return ask(&s.client, req, nil)
}

// Get asks an address and reads the answer, if it is a good one, into what is not nil.
func Get(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return ask(client, req, into)
}

// Post sends a value to an address and reads the answer likewise.
func Post(ctx context.Context, client *http.Client, url string, value, into any) error {
	req, err := request(ctx, http.MethodPost, url, value)
	if err != nil {
		return err
	}
	return ask(client, req, into)
}

func request(ctx context.Context, method, url string, value any) (*http.Request, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

func ask(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return &statusError{resp.StatusCode, fmt.Sprintf("%s: %s: %s", req.URL, resp.Status, system.Reason(string(body)))}
	}
	if err == nil && into != nil {
		err = json.Unmarshal(body, into)
	}
	return err
}

// statusError is an answer that is no good one.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// NotFound tells whether the server answered that it has no such object.
func NotFound(err error) bool { return answered(err, http.StatusNotFound) }

// Conflict tells whether the server answered that somebody else changed the object, or made it.
func Conflict(err error) bool { return answered(err, http.StatusConflict) }

func answered(err error, code int) bool {
	var answer *statusError
	return errors.As(err, &answer) && answer.code == code
}

// Node is what is read of a Node.
type Node struct {
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Spec struct {
		PodCIDR       string
		Unschedulable bool
	}
	Status struct {
		Addresses  []struct{ Type, Address string }
		Conditions []struct{ Type, Status, Message string }
		NodeInfo   struct{ KubeletVersion string }
	}
}

// ControlPlane tells whether it is of the control plane.
func (o *Node) ControlPlane() bool {
	_, ok := o.Metadata.Labels["node-role.kubernetes.io/control-plane"]
	return ok
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

// Ready tells whether its kubelet says so, and what it says otherwise.
func (o *Node) Ready() (ready bool, message string) {
	for _, c := range o.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True", c.Message
		}
	}
	return false, "its kubelet has not said anything yet"
}
