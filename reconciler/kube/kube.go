// Package kube makes a site's Kubernetes cluster equal its rendered layers.
//
// Objects are written by server-side apply, one PATCH each and no read before
// it; what a PATCH did is told from its answer. What watches show to be as it was
// left is not written again with the rest of a layer that changes. Drift is seen by metadata
// watches: it is drift when fields that Holdfast applied are no longer its own.
package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// FieldManager is the name under which Holdfast owns the fields that it applies.
const FieldManager = "holdfast"

const (
	workers        = 8                // requests that write at the same moment, over all layers
	requestTimeout = 45 * time.Second // of one request; an admission webhook may take 30 s
)

// Cluster is a site's cluster, spoken to through its API server.
type Cluster struct {
	config *rest.Config
	http   *http.Client
	log    *slog.Logger
	slots  chan struct{} // held by each write under way
	record *record
	lease  leaseTimes
	tenure tenure
	events *events
	eyes   *eyes

	mu    sync.Mutex
	sess  *session // nil until first used, or after kinds of the API changed
	items map[string]knownItems
}

var _ reconciler.Cluster = (*Cluster)(nil)

// session is the clients that share one discovery of the API's kinds.
type session struct {
	mapper  meta.RESTMapper
	objects *ssa.ResourceManager
	meta    metadata.Interface
}

// Connect prepares to speak to the API server that the kubeconfig file names.
// It sends nothing yet, so the server may come up later. A nil log discards.
func Connect(kubeconfig string, log *slog.Logger) (*Cluster, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	config.UserAgent = "holdfast"
	config.QPS = -1 // the server's priority and fairness decides
	config.WarningHandlerWithContext = warnings{log}
	config.Wrap(recordAnswers)
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("prepare client of %s: %w", config.Host, err)
	}
	return &Cluster{
		config: config,
		http:   httpClient,
		log:    log,
		slots:  make(chan struct{}, workers),
		record: newRecord(),
		lease:  defaultTimes(),
		tenure: tenure{now: sinceBoot},
		events: newEvents(),
		eyes:   newEyes(),
		items:  map[string]knownItems{},
	}, nil
}

// session returns the current clients.
func (c *Cluster) session() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess != nil {
		return c.sess, nil
	}
	mapper, err := apiutil.NewDynamicRESTMapper(c.config, c.http)
	if err != nil {
		return nil, fmt.Errorf("prepare discovery of %s: %w", c.config.Host, err)
	}
	objects, err := client.New(c.config, client.Options{
		HTTPClient: c.http, Mapper: mapper, Scheme: scheme.Scheme,
		Log: logr.FromSlogHandler(c.log.Handler()), // without one, it complains on stderr that it has none
	})
	if err != nil {
		return nil, fmt.Errorf("prepare client of %s: %w", c.config.Host, err)
	}
	metas, err := metadata.NewForConfigAndClient(metadata.ConfigFor(c.config), c.http)
	if err != nil {
		return nil, fmt.Errorf("prepare metadata client of %s: %w", c.config.Host, err)
	}
	c.sess = &session{
		mapper: mapper,
		objects: ssa.NewResourceManager(objects, polling.NewStatusPoller(objects, mapper, polling.Options{}),
			ssa.Owner{Field: FieldManager, Group: "holdfast.dev"}),
		meta: metas,
	}
	return c.sess, nil
}

// forget drops stale clients, so that the next session discovers the kinds anew.
func (c *Cluster) forget(stale *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess == stale {
		c.sess = nil
	}
}

// Ready returns nil if the API server says that it is ready to serve.
func (c *Cluster) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	raw, err := c.raw()
	if err != nil {
		return err
	}
	if err := raw.Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return fmt.Errorf("ask %s whether it is ready: %w", c.config.Host, err)
	}
	return nil
}

// raw asks for what is not an object.
func (c *Cluster) raw() (*rest.RESTClient, error) {
	config := rest.CopyConfig(c.config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	raw, err := rest.UnversionedRESTClientForConfigAndClient(config, c.http)
	if err != nil {
		return nil, fmt.Errorf("prepare client of %s: %w", c.config.Host, err)
	}
	return raw, nil
}

// NodesReady returns nil if there are nodes, and the kubelet of each says it is Ready.
func (c *Cluster) NodesReady(ctx context.Context) error {
	s, err := c.session()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var nodes corev1.NodeList
	if err := s.objects.Client().List(ctx, &nodes); err != nil {
		return fmt.Errorf("list the nodes: %w", err)
	}
	if len(nodes.Items) == 0 {
		return errors.New("there is no node")
	}
	var errs []error
	for i := range nodes.Items {
		errs = append(errs, nodeReady(&nodes.Items[i]))
	}
	return errors.Join(errs...)
}

func nodeReady(node *corev1.Node) error {
	for _, cond := range node.Status.Conditions {
		if cond.Type != corev1.NodeReady {
			continue
		}
		if cond.Status == corev1.ConditionTrue {
			return nil
		}
		return fmt.Errorf("node %s is not ready: %s: %s", node.Name, cond.Reason, cond.Message)
	}
	return fmt.Errorf("node %s is not ready: its kubelet has not reported yet", node.Name)
}

// warnings logs what the API server warns about, which is mostly deprecations,
// and notes it for those who asked by withAnswer.
type warnings struct{ log *slog.Logger }

// HandleWarningHeaderWithContext implements client-go's interface; 299 is the one code it uses.
func (w warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	if code != 299 || text == "" {
		return
	}
	w.log.DebugContext(ctx, "api server warns", "text", text)
	if a, ok := ctx.Value(answerKey{}).(*answer); ok {
		a.warnings = append(a.warnings, text)
	}
}
