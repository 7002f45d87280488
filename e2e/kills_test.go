//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/e2e/testhost"
)

// TestKills pulls the power of hosts at random moments of a site's life, turns them
// on again, and sees each time that the site becomes whole and has lost nothing:
// make kill-hosts. KILLS is how often, SEED makes the same choices again.
func TestKills(t *testing.T) {
	if !testhost.Inside(t, "../build/hosts") {
		return
	}
	lan, err := testhost.NewLAN("a", "b", "c", "d")
	require.NoError(t, err)
	s, err := openSite(t.TempDir(), upgradeKit(), lan)
	require.NoError(t, err)
	seed := number("SEED", uint64(time.Now().UnixNano())%1e6)
	k := &killer{T: t, site: s, dice: rand.New(rand.NewPCG(seed, 0)), want: int(number("KILLS", 50)), phases: map[string]int{}}
	t.Logf("SEED=%d KILLS=%d", seed, k.want)
	for k.kills < k.want {
		if err := k.life(); err != nil {
			k.unrecovered++
			t.Errorf("SEED=%d: after %d kills: %v", seed, k.kills, err)
			k.explain()
		}
		require.NoError(t, s.close())
	}
	fmt.Printf("%d kills, %d unrecovered (SEED=%d): %v\n", k.kills, k.unrecovered, seed, k.phases)
}

func number(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 32); err == nil {
		return n
	}
	return otherwise
}

// killer is who pulls the power.
type killer struct {
	*testing.T
	*site
	dice               *rand.Rand
	want               int
	kills, unrecovered int
	phases             map[string]int // → kills
	cluster            cluster
}

// life is that of a site, from its first machine to four and back to one. It ends
// early once there were enough kills.
func (k *killer) life() error {
	k.cluster = cluster{}
	if err := k.hq.setVersion(previous); err != nil {
		return err
	}
	first := func(ctx context.Context) error { return k.begin(ctx, "control-plane", "a") }
	worker := func(ctx context.Context) error { return k.begin(ctx, "worker", "d") }
	others := func(ctx context.Context) error { return k.begin(ctx, "control-plane", "b", "c") }
	steady := func(context.Context) error { return nil }
	release := func(context.Context) error { return k.greet() }
	upgrade := func(context.Context) error { return k.hq.setVersion(version) }
	shrink := func(context.Context) error { return k.remove("b", "c") }
	for _, p := range []phase{
		{"init", 40 * time.Second, first}, {"steady", 5 * time.Second, steady}, {"join of a worker", 20 * time.Second, worker},
		{"a release", 10 * time.Second, release}, {"upgrade", 3 * time.Minute, upgrade},
		{"join of a control plane", time.Minute, others}, {"steady", 5 * time.Second, steady},
		{"removal of a control plane", 20 * time.Second, shrink},
		{"removal of a worker", 15 * time.Second, func(context.Context) error { return k.remove("d") }},
	} {
		if err := k.play(p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if k.kills >= k.want {
			return nil
		}
	}
	return nil
}

// phase is something that happens at a site, and for how long kills may come.
type phase struct {
	name  string
	lasts time.Duration
	begin func(context.Context) error
}

// play begins the phase, pulls somebody's power once or twice, and sees that all
// that it should come to is there in the end.
func (k *killer) play(p phase) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	began := time.Now()
	if err := p.begin(ctx); err != nil {
		return err
	}
	for range 1 + k.dice.IntN(3)/2 {
		rest := time.Duration(k.dice.Int64N(int64(p.lasts)))
		victims := k.victims()
		off := time.Duration(k.dice.Int64N(int64(10 * time.Second)))
		k.Logf("kill %d: %s: %v after %s, for %s", k.kills+1, p.name, victims, rest.Round(time.Millisecond), off.Round(time.Millisecond))
		time.Sleep(rest)
		for _, name := range victims {
			if err := k.machines[name].PowerOff(); err != nil {
				return err
			}
		}
		k.kills++
		k.phases[p.name]++
		time.Sleep(off)
		for _, name := range victims {
			if err := k.machines[name].Boot(ctx); err != nil {
				return err
			}
		}
	}
	if err := await(ctx, func() error { return k.whole(ctx, &k.cluster) }); err != nil {
		return err
	}
	k.Logf("whole %s after the phase began", time.Since(began).Round(time.Second))
	return nil
}

// victims are one machine of the site or, now and then, all of them.
func (k *killer) victims() []string {
	all := append(k.active(), k.removed...)
	if k.dice.IntN(5) == 0 {
		return all
	}
	i := k.dice.IntN(len(all))
	return all[i : i+1]
}

// begin installs machines and registers them.
func (k *killer) begin(ctx context.Context, role string, machines ...string) error {
	if err := k.install(ctx, machines...); err != nil {
		return err
	}
	return k.register(ctx, role, machines...)
}

// greet changes what the app says.
func (k *killer) greet() error {
	greeting := fmt.Sprintf("GREETING=Hello %d", k.kills)
	if _, err := k.hq.holdfast("set", "--fleet", k.hq.fleet(), "store-042", greeting); err != nil {
		return err
	}
	return k.hq.commit("Set " + greeting)
}

// explain prints what the machines say.
func (k *killer) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name, h := range k.machines {
			if h.On() && !yield(name) {
				return
			}
		}
	}) {
		k.Logf("%s:\n%s", name, says(ctx, k.machines[name]))
	}
}
