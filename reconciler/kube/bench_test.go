package kube

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

const benchLayers = 100

// BenchmarkApply measures 100 new layers of five objects, all layers at once,
// beside a bare server-side apply of equal objects by as many connections; then
// all layers unchanged, and one of them changed.
func BenchmarkApply(b *testing.B) {
	server := startAPIServer(b)
	warm(b, server)
	var ours, bare, unchanged, one, spent time.Duration
	for n := range b.N {
		for turn := range 2 { // whoever goes first has the colder server
			if (n+turn)%2 == 0 {
				bare += bareApply(b, server, fmt.Sprintf("bare-%d", n))
				continue
			}
			s := newBench(b, server, fmt.Sprintf("ours-%d", n))
			layers := benchmarkLayers(b, s, "1")
			ours += s.applyAll(b, layers, 5)
			cpu := cpuTime(b)
			unchanged += s.applyAll(b, layers, 0)
			spent += cpuTime(b) - cpu
			changed := s.layer(b, "layer-50", benchmarkObjects(50, "2")...)
			began := time.Now()
			require.Len(b, s.mustApply(b, changed), 1)
			one += time.Since(began)
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(ours), "ours-ms")
	b.ReportMetric(ms(bare), "bare-ms")
	b.ReportMetric(float64(ours)/float64(bare), "ours/bare")
	b.ReportMetric(ms(unchanged), "unchanged-ms")
	b.ReportMetric(ms(spent), "unchanged-cpu-ms")
	b.ReportMetric(ms(one), "one-layer-ms")
}

// cpuTime is what this process used so far, without the server's.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func warm(b *testing.B, server *apiServer) {
	b.Helper()
	bareApply(b, server, "warm") // the first requests fill the server's caches of schemas
}

func newBench(b *testing.B, server *apiServer, namespace string) *stand {
	b.Helper()
	c, err := Connect(server.kubeconfig, nil)
	require.NoError(b, err)
	s := &stand{Cluster: c, server: server, site: namespace}
	s.mustApply(b, s.layer(b, "namespace", "{apiVersion: v1, kind: Namespace, metadata: {name: NS}}"))
	return s
}

// applyAll applies all layers at once, and checks how many objects of each changed.
func (s *stand) applyAll(b *testing.B, layers []render.Layer, changed int) time.Duration {
	b.Helper()
	began := time.Now()
	var group errgroup.Group
	for _, l := range layers {
		group.Go(func() error {
			changes, err := s.Apply(b.Context(), s.site, l)
			if err == nil && len(changes) != changed {
				return fmt.Errorf("layer %s: %d changes instead of %d: %v", l.Name, len(changes), changed, words(changes))
			}
			return err
		})
	}
	require.NoError(b, group.Wait())
	return time.Since(began)
}

func benchmarkLayers(b *testing.B, s *stand, value string) []render.Layer {
	b.Helper()
	layers := make([]render.Layer, benchLayers)
	for n := range layers {
		layers[n] = s.layer(b, fmt.Sprintf("layer-%d", n), benchmarkObjects(n, value)...)
	}
	return layers
}

func benchmarkObjects(n int, value string) []string {
	name := fmt.Sprintf("app-%d", n)
	return []string{
		"{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + ", namespace: NS}}",
		"{apiVersion: v1, kind: Service, metadata: {name: " + name + ", namespace: NS}, spec: {clusterIP: None, selector: {app: " + name + "}, ports: [{port: 80}]}}",
		configMap(name, "value", value),
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: " + name + ", namespace: NS}, spec: {rules: [{host: " + name +
			".example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: " + name + ", port: {number: 80}}}}]}}]}}",
		strings.ReplaceAll(deployment(name), "replicas: 1", "replicas: 0"),
	}
}

// bareApply is the floor: what the server needs for equal objects.
func bareApply(b *testing.B, server *apiServer, namespace string) time.Duration {
	b.Helper()
	return bareApplyOf(b, server, namespace, benchmarkLayers(b, &stand{site: namespace}, "1"))
}

// bareApplyOf sends the objects of layers by plain server-side apply over client-go's
// dynamic client, by as many workers as a [Cluster] has.
func bareApplyOf(b *testing.B, server *apiServer, namespace string, layers []render.Layer) time.Duration {
	b.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", server.kubeconfig)
	require.NoError(b, err)
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	require.NoError(b, err)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	_, err = client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Patch(b.Context(), ns.Name, types.ApplyPatchType,
		[]byte(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "`+ns.Name+`"}}`), metav1.PatchOptions{FieldManager: "bare"})
	require.NoError(b, err)
	resources := map[string]schema.GroupVersionResource{
		"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
		"Service":        {Version: "v1", Resource: "services"},
		"ConfigMap":      {Version: "v1", Resource: "configmaps"},
		"Ingress":        {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
		"Deployment":     {Group: "apps", Version: "v1", Resource: "deployments"},
	}
	began := time.Now()
	var group errgroup.Group
	group.SetLimit(workers)
	for _, l := range layers {
		for _, raw := range l.Objects {
			group.Go(func() error {
				u := &unstructured.Unstructured{}
				if err := u.UnmarshalJSON(raw); err != nil {
					return err
				}
				u.SetLabels(map[string]string{fleet.SiteLabel: namespace, fleet.LayerLabel: l.Name})
				_, err := client.Resource(resources[u.GetKind()]).Namespace(namespace).
					Apply(b.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "bare", Force: true})
				return err
			})
		}
	}
	require.NoError(b, group.Wait())
	return time.Since(began)
}
