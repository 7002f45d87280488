package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
)

// TestWhatAServerDoesForOthers holds against a real control plane what stand-ins ask of one.
func TestWhatAServerDoesForOthers(t *testing.T) {
	t.Parallel()
	cfg, kubectl := startServer(t)
	a, err := openAPI(cfg.Dir, "admin", "https://127.0.0.1:"+fmt.Sprint(cfg.APIPort))
	require.NoError(t, err)
	r, err := newReception(cfg, "10.42.0.0/16", func(req *http.Request) string {
		user, _, _ := req.BasicAuth()
		return user
	})
	require.NoError(t, err)
	r.verify = passwords{a, ".node-password.k3s"}.verify
	port := fmt.Sprint(embeddedtest.Ports(t, 1)[0])
	require.NoError(t, r.listen(t.Context(), port, r.proxy(a.url)))
	url := "https://" + cfg.Address + ":" + port

	t.Run("another server is given the authorities and a place", func(t *testing.T) { placed(t, r, url) })
	t.Run("a node is who it was, while there is one", func(t *testing.T) {
		who := application{Name: "w", Password: "one", Address: "10.77.0.12"}
		require.NoError(t, r.verify(t.Context(), who))
		kubectl("create", "-f", "-", `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w"}}`)
		require.NoError(t, r.verify(t.Context(), who))
		who.Password = "two"
		require.ErrorContains(t, r.verify(t.Context(), who), "node password rejected")
		kubectl("delete", "node", "w")
		require.NoError(t, r.verify(t.Context(), who))
	})
	t.Run("the API is where servers are joined, too", func(t *testing.T) { proxied(t, cfg, url) })
	t.Run("nodes of servers go with their members", func(t *testing.T) {
		kubectl("create", "-f", "-", `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}`)
		kubectl("create", "-f", "-", `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gone", "finalizers": ["`+managed+`"]}}`)
		kubectl("delete", "node", "gone", "--wait=false")
		k, err := newKeeper(cfg, a, map[string]string{serverLabel: "true"})
		require.NoError(t, err)
		k.lets = true
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go follow(ctx, a, k.keep)
		kubectl("wait", "--for=delete", "node/gone", "--timeout=60s")
		require.Eventually(t, func() bool {
			return kubectl("get", "nodes", "-l", serverLabel+"=true", "-o", "jsonpath={.items[*].metadata.finalizers}") == `["`+managed+`"]`
		}, time.Minute, 100*time.Millisecond)
	})
}

// startServer runs a control plane whose etcd others can join.
func startServer(t *testing.T) (embedded.Config, func(...string) string) {
	bin, err := embeddedtest.Programs()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "hf")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, embedded.Reset(ctx, dir))
	})
	cfg := embedded.Config{Dir: dir, Bin: bin, Host: "a", ControlPlane: true, Address: "127.0.0.4", Member: &embedded.Member{},
		APIPort: embeddedtest.Ports(t, 1)[0], ServiceCIDR: "10.43.0.0/16", Lifeline: true}
	kubeconfig, err := embedded.Ensure(t.Context(), cfg)
	require.NoError(t, err)
	return cfg, func(words ...string) string {
		t.Helper()
		in := ""
		if last := words[len(words)-1]; last[0] == '{' {
			in, words = last, words[:len(words)-1]
		}
		cmd := exec.Command(bin+"/kube", append([]string{"kubectl", "--kubeconfig=" + kubeconfig}, words...)...)
		cmd.Stdin = bytes.NewReader([]byte(in))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
}

func placed(t *testing.T, r *reception, url string) {
	pool := x509.NewCertPool()
	pool.AddCert(r.ca.Leaf)
	join := func(name, user string) (membership, error) {
		data, err := ask(t.Context(), url+"/v1-standin/join-server", pool, application{Name: name, Password: "b", Address: "127.0.0.5"},
			func(req *http.Request) { req.SetBasicAuth(user, "") })
		var in membership
		if err == nil {
			err = json.Unmarshal(data, &in)
		}
		return in, err
	}
	for range 2 { // one whose power went asks again
		in, err := join("b", "server")
		require.NoError(t, err)
		require.Equal(t, "a=https://127.0.0.4:2380,b=https://127.0.0.5:2380", in.Cluster)
		require.Contains(t, string(in.Keys["ca.pem"]), "PRIVATE KEY")
		require.Len(t, in.Keys, 4)
	}
	_, err := join("b", "node")
	require.ErrorContains(t, err, "not authorized")
	_, err = join("a", "server")
	require.ErrorContains(t, err, "duplicate node name found")
}

func proxied(t *testing.T, cfg embedded.Config, url string) {
	for user, want := range map[string]string{"admin": `"groups":["system:masters","system:authenticated"]`, "controller-manager": `"username":"system:kube-controller-manager"`} {
		a, err := openAPI(cfg.Dir, user, url)
		require.NoError(t, err)
		who, err := fetch(t.Context(), a.client, url+"/apis/authentication.k8s.io/v1/selfsubjectreviews",
			[]byte(`{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}`), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") })
		require.NoError(t, err)
		require.Contains(t, string(who), want)
	}
	stranger, err := trusting(cfg.Dir, "ca.crt", "")
	require.NoError(t, err)
	_, err = fetch(t.Context(), stranger, url+"/readyz", nil, nil)
	require.NoError(t, err)
	_, err = fetch(t.Context(), stranger, url+"/api/v1/nodes", nil, func(r *http.Request) {
		r.Header.Set("X-Remote-User", "a")
		r.Header.Set("X-Remote-Group", "system:masters")
	})
	require.ErrorContains(t, err, "401")
}
