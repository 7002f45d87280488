package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// benchFleet is a state of the fleet: a namespace, and layers of five objects
// in it that do not depend on each other. One of each layer has the value; that of
// the edited layer differs.
type benchFleet struct {
	namespace      string
	layers, edited int
	value          string
	goes           string // namespace of another state that may be deleted, with all its layers
}

func (f benchFleet) message() string {
	text := fmt.Sprintf("Run %d layers", f.layers)
	if f.goes == "" {
		return text
	}
	text += "\n\nAllow-Prune: Namespace " + f.goes
	for n := range benchLayers + 1 {
		text += fmt.Sprintf(", layer app-%03d", n)
	}
	return text
}

func (f benchFleet) write(repo *gitsourcetest.Repo) {
	const profile = "profiles/bench/"
	head := "apiVersion: holdfast.dev/v1alpha1\nkind: Profile\nmetadata: {name: bench}\nspec:\n  layers:\n  - {name: space, wait: false}\n"
	for n := range f.layers {
		name := fmt.Sprintf("app-%03d", n)
		head += "  - {name: " + name + ", wait: false}\n"
		value := cmp.Or(f.value, "1")
		if n > 0 && n == f.edited {
			value += " edited"
		}
		folder, kustomization := profile+"addons/"+name+"/", "namespace: "+f.namespace+"\nresources:\n"
		for _, o := range benchObjects(name, value) {
			file := strings.ToLower(o["kind"].(string)) + ".yaml"
			data, err := yaml.Marshal(o)
			if err != nil {
				panic(err) // plain maps
			}
			repo.Write(folder+file, string(data))
			kustomization += "- " + file + "\n"
		}
		repo.Write(folder+"kustomization.yaml", kustomization)
	}
	repo.Write(profile+"profile.yaml", head)
	repo.Write(profile+"addons/space/kustomization.yaml", "resources: [namespace.yaml]\n")
	repo.Write(profile+"addons/space/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+f.namespace+"}\n")
}

type object = map[string]any

func benchObjects(name, value string) []object {
	meta := func() object { return object{"name": name} }
	labels := object{"app": name}
	backend := object{"service": object{"name": name, "port": object{"number": 80}}}
	rule := object{"host": name + ".example.com", "http": object{"paths": []object{{"path": "/", "pathType": "Prefix", "backend": backend}}}}
	container := object{"name": "web", "image": "holdfast.dev/example/web:1.0.0", "ports": []object{{"name": "http", "containerPort": 8080}}}
	return []object{
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta()},
		{"apiVersion": "v1", "kind": "Service", "metadata": meta(),
			"spec": object{"clusterIP": "None", "selector": labels, "ports": []object{{"port": 80, "targetPort": "http"}}}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(), "data": object{"value": value}},
		{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta(), "spec": object{"rules": []object{rule}}},
		{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(), "spec": object{"replicas": 0, "selector": object{"matchLabels": labels},
			"template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []object{container}}}}},
	}
}

// bareServer is the API server without Holdfast: what it needs by itself is the floor.
type bareServer struct {
	url    string
	client *http.Client
}

const bareWorkers = 8

// server reads the administrator's kubeconfig.
func (l *line) server() *bareServer {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.cluster(), "kubeconfig", "admin.json"))
	require.NoError(l.t, err)
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	require.NoError(l.t, json.Unmarshal(data, &config))
	user, cluster := config.Users[0].User, config.Clusters[0].Cluster
	cert, err := tls.X509KeyPair(user.Cert, user.Key)
	require.NoError(l.t, err)
	pool := x509.NewCertPool()
	require.True(l.t, pool.AppendCertsFromPEM(cluster.CA))
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}}
	l.t.Cleanup(transport.CloseIdleConnections)
	return &bareServer{url: cluster.Server, client: &http.Client{Transport: transport}}
}

// apply sends the layers' objects to a namespace, by as many workers as Holdfast has.
func (s *bareServer) apply(tb testing.TB, f benchFleet) time.Duration {
	tb.Helper()
	var bodies [][]byte
	var paths []string
	for n := range f.layers {
		for _, o := range benchObjects(fmt.Sprintf("app-%03d", n), cmp.Or(f.value, "1")) {
			meta := o["metadata"].(object)
			meta["labels"] = object{"holdfast.dev/site": "bare", "holdfast.dev/layer": meta["name"]}
			body, err := json.Marshal(o)
			require.NoError(tb, err)
			bodies = append(bodies, body)
			paths = append(paths, fmt.Sprintf("%s/namespaces/%s/%s/%s", map[string]string{
				"v1": "/api/v1", "apps/v1": "/apis/apps/v1", "networking.k8s.io/v1": "/apis/networking.k8s.io/v1",
			}[o["apiVersion"].(string)], f.namespace, plural(o["kind"].(string)), meta["name"]))
		}
	}
	space := `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "` + f.namespace + `"}}`
	require.NoError(tb, s.patch("/api/v1/namespaces/"+f.namespace, []byte(space)))
	began := time.Now()
	var group errgroup.Group
	group.SetLimit(bareWorkers)
	for n := range paths {
		group.Go(func() error { return s.patch(paths[n], bodies[n]) })
	}
	require.NoError(tb, group.Wait())
	return time.Since(began)
}

func plural(kind string) string {
	if kind == "Ingress" {
		return "ingresses"
	}
	return strings.ToLower(kind) + "s"
}

func (s *bareServer) patch(path string, body []byte) error {
	req, err := http.NewRequest(http.MethodPatch, s.url+path+"?fieldManager=bare&force=true", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/apply-patch+yaml")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("patch %s: %s: %s", path, resp.Status, answer)
	}
	return err
}

// settle waits until nothing was written for a second but Leases and events, so that
// what controllers do after one change is not measured with the next.
func (s *bareServer) settle(tb testing.TB) {
	tb.Helper()
	before := math.NaN()
	require.Eventually(tb, func() bool {
		now, err := s.writes()
		calm := err == nil && now == before
		before = now
		return calm
	}, time.Minute, time.Second)
}

// writes counts the requests that changed objects, from the server's metrics.
func (s *bareServer) writes() (sum float64, err error) {
	resp, err := s.client.Get(s.url + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		m := written.FindStringSubmatch(lines.Text())
		if m == nil || m[1] == "leases" || m[1] == "events" {
			continue
		}
		count, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return 0, err
		}
		sum += count
	}
	return sum, nil
}

var written = regexp.MustCompile(`^apiserver_request_total\{.*resource="([a-z]*)".*verb="(?:APPLY|DELETE|DELETECOLLECTION|PATCH|POST|PUT)".*\} (\S+)$`)
