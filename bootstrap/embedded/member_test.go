package embedded_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
)

// TestTwoServersShareWhatTheyKnow has the etcd of a second server join that of a first.
func TestTwoServersShareWhatTheyKnow(t *testing.T) {
	t.Parallel()
	first, second := newCluster(t), newCluster(t)
	first.cfg.Host, first.cfg.Address, first.cfg.Member = "store-042-a", "127.0.0.2", &embedded.Member{}
	first.ensure()
	first.kubectl("create", "configmap", "kept", "--from-literal=a=b")

	pki := filepath.Join(second.cfg.Dir, "pki")
	require.NoError(t, os.Mkdir(pki, 0o700))
	for _, file := range []string{"ca.pem", "etcd-ca.pem", "front-proxy-ca.pem", "sa.pem"} {
		data, err := os.ReadFile(filepath.Join(first.cfg.Dir, "pki", file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(pki, file), data, 0o600))
	}
	peer := embedded.PeerURL("127.0.0.3")
	var added struct{ Member struct{ ID string } }
	require.NoError(t, first.etcd("member/add", `{"isLearner": true, "peerURLs": ["`+peer+`"]}`, &added))

	second.cfg.Host, second.cfg.Address = "store-042-b", "127.0.0.3"
	second.cfg.Member = &embedded.Member{Cluster: "store-042-a=" + embedded.PeerURL("127.0.0.2") + ",store-042-b=" + peer}
	promoted := make(chan bool, 1)
	go func() {
		for t.Context().Err() == nil && first.etcd("member/promote", `{"ID": "`+added.Member.ID+`"}`, nil) != nil {
			time.Sleep(100 * time.Millisecond) // until it has caught up
		}
		promoted <- true
	}()
	t.Logf("the second is ready after %s", second.ensure().Round(time.Millisecond))
	<-promoted
	second.kubectl("get", "configmap", "kept")
	second.kubectl("create", "configmap", "another")
	first.kubectl("get", "configmap", "another")
}

// etcd asks that of the cluster something about it.
func (c *cluster) etcd(what, question string, answer any) error {
	var ports struct{ Etcd int }
	data, err := os.ReadFile(filepath.Join(c.cfg.Dir, "etc", "ports.json"))
	if err == nil {
		err = json.Unmarshal(data, &ports)
	}
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(c.cfg.Dir, "pki", "etcd-ca.crt"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair := filepath.Join(c.cfg.Dir, "pki", "apiserver-etcd.pem")
	cert, err := tls.LoadX509KeyPair(pair, pair)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}}}
	resp, err := client.Post(fmt.Sprintf("https://127.0.0.1:%d/v3/cluster/%s", ports.Etcd, what), "application/json", bytes.NewReader([]byte(question)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s: %w", what, resp.Status, text, err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
