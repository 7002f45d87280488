package kube

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

const (
	eventBurst  = 50              // that wait to be sent, or are sent at once after a calm
	eventEvery  = 5 * time.Second // one more may be sent
	eventRepeat = time.Minute     // between two times that a repeated one is counted in the cluster
	eventMemory = 500             // different ones that are remembered to be counted
	eventNote   = 1000            // bytes: the API server takes 1 KiB
)

// reportingController is who says it.
const reportingController = "holdfast.dev/agent"

// events are Kubernetes Events on their way. There are no more of them than a
// cluster can bear, whatever happens: what is too much is dropped. They wait while a
// layer is applied, which they would slow down.
type events struct {
	mu       sync.Mutex
	waiting  []reconciler.Event
	sending  bool
	applying int // layers
	budget   int
	filled   time.Time                    // when the budget was last added to
	sent     map[reconciler.Event]*series // lately
}

// series is an event that was sent, and how often it happened since the last time that the cluster was told.
type series struct {
	event *eventsv1.Event
	count int32
	told  time.Time
}

func newEvents() *events {
	return &events{budget: eventBurst, sent: map[reconciler.Event]*series{}}
}

// Event implements [reconciler.Cluster] by the API of events.k8s.io.
func (c *Cluster) Event(e reconciler.Event) {
	e.Message = shorten(e.Message, eventNote)
	if c.events.take(e, time.Now()) {
		go c.sendEvents()
	}
}

// take puts an event in the queue, and says whether somebody must be found who sends it.
func (q *events) take(e reconciler.Event, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if more := int(now.Sub(q.filled) / eventEvery); more > 0 {
		q.budget, q.filled = min(q.budget+more, eventBurst), now
	}
	if s := q.sent[e]; s != nil {
		s.count++
		if now.Sub(s.told) < eventRepeat {
			return false
		}
		s.told = now
	}
	if q.budget == 0 || len(q.waiting) == eventBurst || !e.Warning && q.budget <= eventBurst/2 { // warnings find room
		return false
	}
	q.budget--
	q.waiting = append(q.waiting, e)
	return q.start()
}

// start says whether somebody must be found who sends what waits.
func (q *events) start() bool {
	if q.sending || q.applying > 0 || len(q.waiting) == 0 {
		return false
	}
	q.sending = true
	return true
}

// hold has all events wait until release, which says whether somebody must be found
// who sends them.
func (q *events) hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.applying++
}

func (q *events) release() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.applying--
	return q.start()
}

// next returns the event to send; there is none when everything was sent, or has to wait.
func (q *events) next() (e reconciler.Event, known *series, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.applying > 0 {
		q.sending = false
		return e, nil, false
	}
	e, q.waiting = q.waiting[0], q.waiting[1:]
	if s := q.sent[e]; s != nil {
		known = &series{event: s.event.DeepCopy(), count: s.count}
	}
	return e, known, true
}

func (q *events) note(e reconciler.Event, sent *eventsv1.Event, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.sent[e]; s != nil {
		s.event = sent
		return
	}
	if len(q.sent) >= eventMemory {
		clear(q.sent)
	}
	q.sent[e] = &series{event: sent, count: 1, told: now}
}

// sendEvents sends all that wait. That one cannot be sent is worth no more than a line for those who look closely.
func (c *Cluster) sendEvents() {
	for e, known, ok := c.events.next(); ok; e, known, ok = c.events.next() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		sent, err := c.sendEvent(ctx, e, known)
		cancel()
		if err != nil {
			c.log.Debug("event not sent", "object", e.Object.String(), "reason", e.Reason, "error", err)
			continue
		}
		c.events.note(e, sent, time.Now())
	}
}

func (c *Cluster) sendEvent(ctx context.Context, e reconciler.Event, known *series) (*eventsv1.Event, error) {
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	if known != nil {
		ev := known.event
		ev.Series = &eventsv1.EventSeries{Count: max(known.count, 2), LastObservedTime: metav1.NowMicro()}
		err := s.objects.Client().Update(ctx, ev, client.FieldOwner(FieldManager))
		if !apierrors.IsNotFound(err) { // the cluster forgets them after an hour
			return ev, err
		}
	}
	ev, err := c.event(ctx, s, e)
	if err != nil {
		return nil, err
	}
	return ev, s.objects.Client().Create(ctx, ev, client.FieldOwner(FieldManager))
}

// event is what is told of an object for the first time.
func (c *Cluster) event(ctx context.Context, s *session, e reconciler.Event) (*eventsv1.Event, error) {
	o := e.Object
	mapping, err := s.mapper.RESTMapping(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version)
	if err != nil {
		return nil, err
	}
	ref := corev1.ObjectReference{APIVersion: mapping.GroupVersionKind.GroupVersion().String(), Kind: o.Kind, Name: o.Name}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		ref.Namespace = namespaceOf(o)
	}
	if a, known := c.record.get(keyOf(o)); known && !e.Warning { // it was just applied
		ref.UID, ref.ResourceVersion = a.uid, a.version
	} else if live, err := s.metadata(ctx, o); err != nil {
		return nil, err
	} else if live != nil {
		ref.UID, ref.ResourceVersion = live.UID, live.ResourceVersion
	}
	host, err := os.Hostname()
	if err != nil {
		host = FieldManager
	}
	now := metav1.NowMicro()
	kind := corev1.EventTypeNormal
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	namespace := ref.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%.200s.%x", o.Name, now.UnixNano())},
		EventTime:  now, ReportingController: reportingController, ReportingInstance: host,
		Action: "Reconcile", Reason: e.Reason, Regarding: ref, Note: e.Message, Type: kind,
	}, nil
}
