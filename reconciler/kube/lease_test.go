package kube

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// hurriedTimes hold a Lease for seconds, yet for longer than a busy machine takes for a request.
var hurriedTimes = leaseTimes{duration: 8 * time.Second, renew: time.Second, look: 50 * time.Millisecond, again: 50 * time.Millisecond}

func hurried(t *testing.T, s *stand) *stand {
	t.Helper()
	s.lease = hurriedTimes
	return s
}

// lead reads who leads until it is the wanted one.
func lead(t *testing.T, leaders <-chan reconciler.Leader, want reconciler.Leader) reconciler.Leader {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case l, open := <-leaders:
			require.True(t, open)
			if l.Host == want.Host && l.Mine == want.Mine {
				return l
			}
		case <-deadline:
			require.FailNow(t, "nobody leads as wanted", "%+v", want)
			return want
		}
	}
}

// holder is who holds the Lease, as the cluster says.
func (s *stand) holder(t *testing.T) string {
	t.Helper()
	lease := &coordinationv1.Lease{}
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Namespace: fleet.SystemNamespace, Name: leaseName}, lease))
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// The Lease's place in a cluster is one, so its test must be one too.
func testLease(t *testing.T, s *stand) {
	a, b := hurried(t, newStand(t, s.server)), hurried(t, newStand(t, s.server))
	l := a.layer(t, "l", configMap("x"))
	ctxA, stopA := context.WithCancel(t.Context())
	defer stopA()
	leadersA, err := a.Lead(ctxA, "shop", "a")
	require.NoError(t, err)
	lead(t, leadersA, reconciler.Leader{Host: "a", Mine: true})
	a.mustApply(t, l)

	ctxB, stopB := context.WithCancel(t.Context())
	defer stopB()
	leadersB, err := b.Lead(ctxB, "shop", "b")
	require.NoError(t, err)
	lead(t, leadersB, reconciler.Leader{Host: "a"})
	_, err = b.Apply(t.Context(), b.site, b.layer(t, "l", configMap("x")))
	require.ErrorIs(t, err, reconciler.ErrNotLeader)

	c, err := s.Lead(t.Context(), "bar", "c")
	require.NoError(t, err)
	lead(t, c, reconciler.Leader{}) // the cluster is another site's

	stopA()
	for range leadersA { // until it is closed
	}
	require.NotEqual(t, "a", s.holder(t), "a clean stop gives the Lease up")
	lead(t, leadersB, reconciler.Leader{Host: "b", Mine: true})
	b.mustApply(t, b.layer(t, "l", configMap("x")))
	_, err = a.Apply(t.Context(), a.site, l)
	require.ErrorIs(t, err, reconciler.ErrNotLeader)

	// A holder that is gone without a word, and whose clock was years ahead.
	stopB()
	for range leadersB {
	}
	lease := &coordinationv1.Lease{}
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Namespace: fleet.SystemNamespace, Name: leaseName}, lease))
	host, ahead := "gone", metav1.NewMicroTime(time.Now().AddDate(10, 0, 0))
	lease.Spec.HolderIdentity, lease.Spec.RenewTime = &host, &ahead
	require.NoError(t, s.other.Update(t.Context(), lease))
	began := time.Now()
	leadersA, err = a.Lead(t.Context(), "shop", "a")
	require.NoError(t, err)
	lead(t, leadersA, reconciler.Leader{Host: "gone"})
	lead(t, leadersA, reconciler.Leader{Host: "a", Mine: true})
	require.GreaterOrEqual(t, time.Since(began), a.lease.duration)
}

// refusesOwn is a webhook that nothing serves, for two kinds that Holdfast has objects of itself.
const refusesOwn = `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: guard}, webhooks: [{
  name: guard.example.com, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Fail, timeoutSeconds: 1, clientConfig: {url: "https://127.0.0.1:1/"},
  rules: [{apiGroups: ["", coordination.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [leases, configmaps]}]}]}`

// TestAWebhookThatKeepsHoldfastOutIsNamed has a server of its own, as the webhook is for all of it.
func TestAWebhookThatKeepsHoldfastOutIsNamed(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t)
	a := hurried(t, newStand(t, server))
	leaders, err := a.Lead(t.Context(), "shop", "a")
	require.NoError(t, err)
	lead(t, leaders, reconciler.Leader{Host: "a", Mine: true})
	a.mustApply(t, a.layer(t, "l", refusesOwn))

	var refused error
	for !errors.Is(refused, reconciler.ErrGuarded) { // the last try in time may have had too little of it
		refused = lead(t, leaders, reconciler.Leader{}).Err
	}
	require.ErrorContains(t, refused, "guard.example.com")
	_, saved := a.SaveInventory(t.Context(), reconciler.Inventory{Site: "shop"})
	require.ErrorIs(t, saved, reconciler.ErrGuarded)
	for _, err := range []error{refused, saved} {
		var hinted interface{ Hint() string }
		require.ErrorAs(t, err, &hinted)
		require.Contains(t, hinted.Hint(), "leave out the namespace holdfast-system")
	}

	guard := named(reconciler.Object{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration", Name: "guard"})
	require.NoError(t, a.other.Delete(t.Context(), guard))
	lead(t, leaders, reconciler.Leader{Host: "a", Mine: true})
}

// TestLeaseIsLostInTime shows that a holder that cannot renew its Lease stops before others may take it.
func TestLeaseIsLostInTime(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t)
	a := hurried(t, newStand(t, server))
	leaders, err := a.Lead(t.Context(), "shop", "a")
	require.NoError(t, err)
	lead(t, leaders, reconciler.Leader{Host: "a", Mine: true})
	server.freeze()
	lead(t, leaders, reconciler.Leader{})
	_, err = a.Apply(t.Context(), a.site, a.layer(t, "l", configMap("x")))
	require.ErrorIs(t, err, reconciler.ErrNotLeader)
	server.thaw()
	lead(t, leaders, reconciler.Leader{Host: "a", Mine: true})
	a.mustApply(t, a.layer(t, "l", configMap("x")))
}
