package main

import (
	"bytes"
	"context"
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
// through its JSON gateway.
func saveEtcd(ctx context.Context, dir, file string) error {
	e, err := openEtcd(dir)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/v3/maintenance/snapshot", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	resp, err := e.client.Do(req)
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
