package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// between stands between the agent and the API server. It answers writes itself,
// or lets the next one through if it returns nothing.
type between struct {
	next  http.RoundTripper
	fault func(write int64, req *http.Request) (*http.Response, error)
	count atomic.Int64
}

func (b *between) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		if resp, err := b.fault(b.count.Add(1), req); resp != nil || err != nil {
			return resp, err
		}
	}
	return b.next.RoundTrip(req)
}

// disturb lets the fault answer some of the stand's writes from now on.
func (s *stand) disturb(fault func(write int64, req *http.Request) (*http.Response, error)) *between {
	b := &between{next: s.http.Transport, fault: fault}
	s.http.Transport = b
	return b
}

// refusal is an API server's answer that is no object.
func refusal(req *http.Request, code int, reason metav1.StatusReason, message string) *http.Response {
	body := fmt.Sprintf(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason, message)
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func tenMaps(t *testing.T, s *stand, value string) render.Layer {
	t.Helper()
	var docs []string
	for n := range 10 {
		docs = append(docs, configMap(fmt.Sprint("c", n), "x", value))
	}
	return s.layer(t, "l", docs...)
}

func testTooMany(t *testing.T, s *stand) {
	b := s.disturb(func(write int64, req *http.Request) (*http.Response, error) {
		if write > 5 {
			return nil, nil
		}
		resp := refusal(req, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many requests, please try again later")
		resp.Header.Set("Retry-After", "1")
		return resp, nil
	})
	require.Len(t, s.mustApply(t, tenMaps(t, s, "1")), 10, "it waits as long as it is told to, and goes on")
	require.EqualValues(t, 15, b.count.Load())
}

func testInternalErrors(t *testing.T, s *stand) {
	s.mustApply(t, tenMaps(t, s, "1"))
	b := s.disturb(func(write int64, req *http.Request) (*http.Response, error) {
		if write%3 != 0 {
			return nil, nil
		}
		return refusal(req, http.StatusInternalServerError, metav1.StatusReasonInternalError, "Internal error occurred: no luck"), nil
	})
	next := tenMaps(t, s, "2")
	changes, err := s.Apply(t.Context(), s.site, next)
	require.Len(t, changes, 7)
	require.ErrorContains(t, err, ": Internal error occurred: no luck")
	require.NotErrorIs(t, err, reconciler.ErrUnreachable, "it is an answer, to this object")
	b.fault = func(int64, *http.Request) (*http.Response, error) { return nil, nil }
	require.Len(t, s.mustApply(t, next), 3)

	b.fault = func(_ int64, req *http.Request) (*http.Response, error) {
		return refusal(req, http.StatusInternalServerError, metav1.StatusReasonInternalError, "Internal error occurred: etcdserver: request timed out"), nil
	}
	_, err = s.Apply(t.Context(), s.site, tenMaps(t, s, "3"))
	require.ErrorIs(t, err, reconciler.ErrUnreachable, "it says nothing of the object")
}

func testConflicts(t *testing.T, s *stand) {
	s.disturb(func(write int64, req *http.Request) (*http.Response, error) {
		if write%2 == 0 {
			return nil, nil
		}
		return refusal(req, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified"), nil
	})
	l := s.layer(t, "l", configMap("a", "x", "1"))
	require.Len(t, s.mustApply(t, l), 1)
	s.edit(t, "a", "kubectl-edit", "more", "by hand")
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, l), "taking over needs the newest version")
	require.NotContains(t, s.live(t, "v1", "ConfigMap", "a").Object["data"], "more")
	changes, err := s.Delete(t.Context(), s.site, []reconciler.Object{s.configMapName("a")})
	require.NoError(t, err)
	require.Equal(t, []string{"deleted ConfigMap a"}, words(changes))
}

// testLostAnswer cuts the connection after the API server did what it was asked for.
func testLostAnswer(t *testing.T, s *stand) {
	var b *between
	b = s.disturb(func(write int64, req *http.Request) (*http.Response, error) {
		if write%4 != 0 || write > 40 {
			return nil, nil
		}
		resp, err := b.next.RoundTrip(req)
		if err == nil {
			err = errors.Join(errors.New("connection reset by peer"), resp.Body.Close())
		}
		return nil, err
	})
	l := tenMaps(t, s, "1")
	applied := 0
	for err := reconciler.ErrUnreachable; err != nil; {
		require.ErrorIs(t, err, reconciler.ErrUnreachable)
		var changes []reconciler.Change
		changes, err = s.Apply(t.Context(), s.site, l)
		applied += len(changes)
	}
	require.LessOrEqual(t, applied, 10, "nothing is done twice")
	b.fault = func(int64, *http.Request) (*http.Response, error) { return nil, nil }
	require.Empty(t, s.mustApply(t, l))
}

// TestFaultyServer lets an API server hang, its etcd fall back, and its disk be full.
func TestFaultyServer(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t)
	s := newStand(t, server)
	old := s.layer(t, "l", configMap("a", "x", "1"), configMap("kept", "x", "1"))
	s.mustApply(t, old)

	t.Log("it hangs")
	server.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	_, err := s.Apply(ctx, s.site, old)
	cancel()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, reconciler.ErrUnreachable, "it is us who had no time")
	server.thaw()
	require.Empty(t, s.mustApply(t, old))

	t.Log("its etcd is restored from before the last change")
	server.stop()
	data, snapshot := filepath.Join(server.dir, "etcd"), filepath.Join(server.dir, "snapshot")
	require.NoError(t, os.CopyFS(snapshot, os.DirFS(data)))
	server.start()
	l := s.layer(t, "l", configMap("a", "x", "2"), configMap("kept", "x", "1"), configMap("new", "x", "1"))
	s.mustApply(t, l)
	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{l})
	require.NoError(t, err)
	server.stop()
	require.NoError(t, os.RemoveAll(data))
	require.NoError(t, os.Rename(snapshot, data))
	server.start()
	for missing := map[string]bool{"a": true, "new": true}; len(missing) > 0; {
		found := nextDrift(t, drifting)
		changes, err := s.Repair(t.Context(), s.site, l, found.Names())
		t.Logf("%+v: %v %v", found.Objects, words(changes), err)
		for _, c := range changes {
			require.NotEqual(t, "kept", c.Object.Name)
			delete(missing, c.Object.Name)
		}
	}
	require.Empty(t, s.mustApply(t, l))

	t.Log("its disk is full")
	server.stop()
	server.etcd = []string{"--quota-backend-bytes", "1000000"}
	server.start()
	big := s.layer(t, "l", configMap("a", "x", strings.Repeat("y", 900_000)), configMap("kept", "x", "2"))
	within(t, "there is no space left", func() bool {
		_, err := s.Apply(t.Context(), s.site, big)
		return err != nil && strings.Contains(err.Error(), "space exceeded")
	})
	_, err = s.Apply(t.Context(), s.site, big)
	require.ErrorIs(t, err, reconciler.ErrUnreachable, "it is not the layer's fault")
	kept := &unstructured.Unstructured{}
	kept.SetAPIVersion("v1")
	kept.SetKind("ConfigMap")
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Namespace: s.site, Name: "kept"}, kept), "nothing is lost")
}
