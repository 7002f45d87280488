package kubeadm

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
)

// maxAnswer is the largest answer that is read, in bytes.
const maxAnswer = 8 << 20

// api talks to an API server, which answers at once or not at all.
type api struct {
	base   string
	client http.Client
}

// localAPI is what listens on this host for the cluster's API, with the
// administrator's rights. It is closed after use.
func (n *node) localAPI() (*api, error) {
	ca, err := os.ReadFile(pkiDir + "/ca.crt")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New(pkiDir + "/ca.crt holds no certificate")
	}
	admin, err := credentials(Kubeconfig)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{admin}, ServerName: "kubernetes", MinVersion: tls.VersionTLS12}}
	return &api{
		base:   "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Cluster.APIPort)),
		client: http.Client{Timeout: 5 * time.Second, Transport: transport},
	}, nil
}

func (a *api) close() { a.client.CloseIdleConnections() }

// credentials are the certificate and key within a kubeconfig, as kubeadm writes it.
func credentials(kubeconfig string) (tls.Certificate, error) {
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair := map[string][]byte{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(key, "client-") {
			if pair[key], err = base64.StdEncoding.DecodeString(value); err != nil {
				return tls.Certificate{}, fmt.Errorf("%s: %s: %w", kubeconfig, key, err)
			}
		}
	}
	cert, err := tls.X509KeyPair(pair["client-certificate-data"], pair["client-key-data"])
	if err != nil {
		err = fmt.Errorf("%s: %w", kubeconfig, err)
	}
	return cert, err
}

// get asks for a path and reads the answer into what is not nil.
func (a *api) get(ctx context.Context, path string, into any) error {
	return get(ctx, &a.client, a.base+path, into)
}

func get(ctx context.Context, client *http.Client, url string, into any) error {
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
		return fmt.Errorf("%s: %s: %s", url, resp.Status, reason(string(body)))
	}
	if err == nil && into != nil {
		err = json.Unmarshal(body, into)
	}
	return err
}

// nodeObject is what is read of a Node.
type nodeObject struct {
	Metadata struct{ Name string }
	Spec     struct{ PodCIDR string }
	Status   struct {
		Addresses  []struct{ Type, Address string }
		Conditions []struct{ Type, Status, Message string }
	}
}

// address is where its kubelet is.
func (o *nodeObject) address() string {
	for _, a := range o.Status.Addresses {
		if a.Type == "InternalIP" {
			return a.Address
		}
	}
	return ""
}
