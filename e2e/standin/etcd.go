package main

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

	"github.com/holdfast-fleet/holdfast/durable"
)

// saveEtcd writes a snapshot of the etcd of an embedded cluster to a file,
// through its JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
func saveEtcd(ctx context.Context, dir, file string) error {
	client, base, err := etcdClient(dir)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v3/maintenance/snapshot", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("snapshot of etcd: %s", resp.Status)
	}
	var snapshot bytes.Buffer
	for dec := json.NewDecoder(resp.Body); ; {
		var part struct{ Result struct{ Blob []byte } }
		err := dec.Decode(&part)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		snapshot.Write(part.Result.Blob)
	}
	if snapshot.Len() == 0 {
		return errors.New("snapshot of etcd: it is empty")
	}
	return durable.WriteFile(file, snapshot.Bytes(), 0o600)
}

func etcdClient(dir string) (*http.Client, string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "etc", "ports.json"))
	if err != nil {
		return nil, "", err
	}
	var ports struct{ Etcd int }
	if err := json.Unmarshal(data, &ports); err != nil {
		return nil, "", err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "pki", "etcd-ca.crt"))
	if err != nil {
		return nil, "", err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair := filepath.Join(dir, "pki", "apiserver-etcd.pem")
	cert, err := tls.LoadX509KeyPair(pair, pair)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}
	return &http.Client{Transport: transport}, fmt.Sprintf("https://127.0.0.1:%d", ports.Etcd), err
}

// writeKubeconfig writes the administrator's kubeconfig of an embedded cluster
// as client-go does, in YAML.
func writeKubeconfig(dir, file string) error {
	data, err := os.ReadFile(filepath.Join(dir, "kubeconfig", "admin.json"))
	if err != nil {
		return err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     string `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Cert string `json:"client-certificate-data"`
				Key  string `json:"client-key-data"`
			}
		}
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return err
	}
	cluster, user := config.Clusters[0].Cluster, config.Users[0].User
	text := fmt.Sprintf(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: %s
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: %s
    client-key-data: %s
`, cluster.CA, cluster.Server, user.Cert, user.Key)
	return durable.WriteFile(file, []byte(text), 0o600)
}
