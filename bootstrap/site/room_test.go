package site

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// kubectlOf notes what it is told, and fails to drain the node of that name.
func kubectlOf(told *[]string, stays string) Kubectl {
	return func(_ context.Context, words ...string) error {
		*told = append(*told, strings.Join(words[:2], " "))
		if words[0] == "drain" && words[1] == stays {
			return errors.New("cannot evict pod as it would violate the pod's disruption budget")
		}
		return nil
	}
}

// TestPodsOfAHostThatIsAwayMove, unless nobody could take them. Where they do not, the
// host is not away any more.
func TestPodsOfAHostThatIsAwayMove(t *testing.T) {
	t.Parallel()
	a, b := kubeapitest.Nodes{}.And("a", "v1.36.3", true, true), kubeapitest.Nodes{}.And("b", "v1.35.4", false, true)
	down, cordoned := kubeapitest.Nodes{}.And("b", "v1.35.4", false, false), append(kubeapitest.Nodes{}, b...)
	cordoned[0].Spec.Unschedulable = true
	for _, tt := range []struct {
		name  string
		nodes kubeapitest.Nodes
		stays string
		told  []string
	}{
		{name: "they move", nodes: append(a, b...), told: []string{"drain b"}},
		{name: "it is alone", nodes: b},
		{name: "it answers nobody", nodes: append(a, down...)},
		{name: "somebody had cordoned it", nodes: append(a, cordoned...), told: []string{"drain b"}},
		{name: "they do not move", nodes: append(a, b...), stays: "b", told: []string{"drain b", "uncordon b"}},
		{name: "nor do those of one that was cordoned", nodes: append(a, cordoned...), stays: "b", told: []string{"drain b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var told []string
			api := &fakeAPI{nodes: tt.nodes}
			admin := Admin{api.serve(t), kubectlOf(&told, tt.stays)}
			require.NoError(t, Enter(t.Context(), admin.Server, "b", "v1.36.3", 1))
			err := admin.MakeRoom(t.Context(), "b")
			require.Equal(t, tt.told, told)
			if tt.stays != "" {
				require.ErrorContains(t, err, "its pods did not move within 2m0s: cannot evict pod")
				require.Empty(t, api.register.Data, "others may go meanwhile")
				return
			}
			require.NoError(t, err)
			require.Contains(t, api.register.Data, "b")
		})
	}
}

// TestPodsMoveOnceTheControllersAreLed: nobody would make them anew, nor take them out of services.
func TestPodsMoveOnceTheControllersAreLed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		leases []string // holder, and the seconds when it began and renewed, as asked for; the last stays
		nobody bool
		asked  int32
	}{
		{name: "somebody does", leases: []string{"a 10 40", "a 10 40", "a 10 42"}, asked: 3},
		{name: "somebody begins to", leases: []string{"a 10 12", "a 10 14", "a 10 24", "a 10 26"}, asked: 4},
		{name: "somebody whose clock was put back", leases: []string{"a 10 40", "a 10 02"}, asked: 2},
		{name: "the one who did is gone", leases: []string{"a 10 40", "b 10 55", "b 10 57"}, asked: 3},
		{name: "the API server is gone meanwhile", leases: []string{"a 10 40", "", "a 10 42", "a 10 44"}, asked: 4},
		{name: "nobody has to", leases: nil, asked: 1},
		{name: "nobody does", leases: []string{"a 10 40"}, nobody: true},
		{name: "nobody does for long", leases: []string{"a 10 40", "b 41 41", "b 41 43", "c 50 50"}, nobody: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := kubeapitest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, controllersLease, r.URL.Path)
				i := min(int(asked.Add(1)), len(tt.leases)) - 1
				if i < 0 {
					http.NotFound(w, r)
					return
				}
				parts := strings.Fields(tt.leases[i])
				if len(parts) == 0 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				const at = "2026-11-30T02:10:%s.986427Z"
				_, _ = fmt.Fprintf(w, `{"spec": {"holderIdentity": %q, "acquireTime": "`+at+`", "renewTime": "`+at+`"}}`, parts[0], parts[1], parts[2])
			}))
			within := time.Minute
			if tt.nobody {
				within = 2 * time.Second
			}
			err := Admin{Server: server}.led(t.Context(), within)
			if tt.nobody {
				require.EqualError(t, err, "nobody leads the cluster's controllers, and pods that go would not come back: "+
					"its Lease kube-system/kube-controller-manager was not renewed within 2s by who has held it for 15s")
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, tt.asked, asked.Load())
		})
	}
}

// TestPodsStayUntilTheControllersAreLed: a host that waits for that lets none go.
func TestPodsStayUntilTheControllersAreLed(t *testing.T) {
	t.Parallel()
	var told []string
	api := &fakeAPI{nodes: kubeapitest.Nodes{}.And("a", "v1.36.3", true, true).And("b", "v1.35.4", false, true), lease: `{"spec": {"holderIdentity": "a"}}`}
	admin := Admin{api.serve(t), kubectlOf(&told, "")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, admin.MakeRoom(ctx, "b"), context.DeadlineExceeded)
	require.Empty(t, told)
}

// TestNobodyIsAwayFromAClusterThatWasRestored: who was when the backup was taken never says
// that it is back.
func TestNobodyIsAwayFromAClusterThatWasRestored(t *testing.T) {
	t.Parallel()
	var told []string
	api := &fakeAPI{nodes: kubeapitest.Nodes{}.And("a", "v1.36.3", true, true).And("b", "v1.36.3", false, true), version: 1}
	admin := Admin{api.serve(t), kubectlOf(&told, "")}
	require.NoError(t, admin.AllBack(t.Context()))
	require.Equal(t, 1, api.version, "nothing is written where nobody is")

	api.register.Data = map[string]string{"a": "v1.36.3", "b": "v1.36.3" + cordoned, "gone": "v1.36.3"}
	require.NoError(t, admin.AllBack(t.Context()))
	require.Equal(t, []string{"uncordon a"}, told)
	require.Empty(t, api.register.Data)
}

// TestAWorkerWhosePodsStayIsLeftAloneForAWhile: each try costs those that move.
func TestAWorkerWhosePodsStayIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	var told []string
	var workers Workers
	api := &fakeAPI{nodes: kubeapitest.Nodes{}.And("a", "v1.36.3", true, true).And("b", "v1.35.4", false, true).And("c", "v1.35.4", false, true)}
	admin := Admin{api.serve(t), kubectlOf(&told, "b")}
	b, c := peers.Member{Name: "b", Role: fleet.Worker}, peers.Member{Name: "c", Role: fleet.Worker}
	require.ErrorContains(t, workers.Leave(t.Context(), admin, b, Leaving{Version: "v1.36.3"}), "disruption budget")
	require.ErrorContains(t, workers.Leave(t.Context(), admin, b, Leaving{Version: "v1.36.3"}), "disruption budget; tried again at ")
	err := workers.Leave(t.Context(), admin, b, Leaving{Version: "v1.36.3", Anew: true})
	require.ErrorContains(t, err, "disruption budget")
	require.NotContains(t, err.Error(), "tried again", "somebody ordered it")
	require.NoError(t, workers.Leave(t.Context(), admin, c, Leaving{Version: "v1.36.3"}), "the next may go")
	require.NoError(t, workers.Back(t.Context(), admin, c))
	require.Equal(t, []string{"drain b", "uncordon b", "drain b", "uncordon b", "drain c", "uncordon c"}, told)
	require.ErrorIs(t, workers.Leave(t.Context(), admin, peers.Member{Name: "a", Role: fleet.ControlPlane}, Leaving{Version: "v1.36.3"}), errNoWorker)
}

// TestAWorkerThatLosesItsPowerWhileItsPodsMoveIsNotLeftAlone: it was cut off, not its pods that stayed.
func TestAWorkerThatLosesItsPowerWhileItsPodsMoveIsNotLeftAlone(t *testing.T) {
	t.Parallel()
	var told []string
	var workers Workers
	api := &fakeAPI{nodes: kubeapitest.Nodes{}.And("a", "v1.36.3", true, true).And("b", "v1.35.4", false, true)}
	server, b := api.serve(t), peers.Member{Name: "b", Role: fleet.Worker}
	asks, gone := context.WithCancel(t.Context())
	cutOff := func(context.Context, ...string) error { gone(); return errors.New("signal: killed") }
	require.ErrorIs(t, workers.Leave(asks, Admin{server, cutOff}, b, Leaving{Version: "v1.36.3"}), context.Canceled)

	require.NoError(t, workers.Leave(t.Context(), Admin{server, kubectlOf(&told, "")}, b, Leaving{Version: "v1.36.3"}), "it is there again")
	require.Equal(t, []string{"drain b"}, told)
}

func TestHowLongAHostIsLeftAlone(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	stuck := &Stuck{at, "its pods did not move"}
	require.EqualError(t, stuck.Wait(at.Add(time.Minute)), "its pods did not move; tried again at 2026-11-28T12:05:00Z")
	require.NoError(t, stuck.Wait(at.Add(5*time.Minute)))
	require.NoError(t, stuck.Wait(at.Add(-time.Hour)), "the clock was wrong")
	require.NoError(t, (*Stuck)(nil).Wait(at))
}
