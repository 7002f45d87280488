package gitsource_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

func clock(now time.Time, synchronised bool) gitsource.Clock {
	return gitsource.Clock{Now: func() time.Time { return now }, Synchronised: func() bool { return synchronised }}
}

// dated is a fleet in which bob's key is good until 2035, and carol's was until a
// month ago.
type dated struct {
	*fleet
	bob, carol *gitsourcetest.Key
	now        time.Time
}

func newDated(t *testing.T) *dated {
	t.Helper()
	key := func(name string) *gitsourcetest.Key {
		return gitsourcetest.NewSSHKey(t, name+"@example.com", "ed25519")
	}
	d := &dated{newFleet(t), key("bob"), key("carol"), time.Now()}
	d.commit(map[string]string{d.alice.File(): d.alice.Public() +
		d.bob.AllowedSigner(`namespaces="git",valid-before="20350101"`) + "\n" +
		d.carol.AllowedSigner(`namespaces="git",valid-before="`+d.now.AddDate(0, -1, 0).Format("20060102")+`"`) + "\n"})
	return d
}

// future commits as if it were 2099.
func (d *dated) future() string {
	return d.Commit(gitsourcetest.Commit{By: d.alice, At: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), Files: map[string]string{"a": "2099"}})
}

func TestACommitFromTheFutureEndsNoKeyIfTheClockIsRight(t *testing.T) {
	t.Parallel()
	for _, together := range []bool{false, true} {
		for _, reopened := range []bool{false, true} {
			d := newDated(t)
			o := d.options(t)
			o.Clock = clock(d.now, true)
			r := open(t, o)
			poll(t, r)
			future := d.future()
			if !together {
				require.Equal(t, future, poll(t, r).Commit())
			}
			if reopened {
				require.NoError(t, r.Close())
				r = open(t, o)
			}
			good := d.Commit(gitsourcetest.Commit{By: d.bob, Files: map[string]string{"a": "bob"}})
			require.Equal(t, good, poll(t, r).Commit())
			d.Commit(gitsourcetest.Commit{By: d.carol, At: d.now.AddDate(0, -2, 0), Files: map[string]string{"a": "carol"}})
			rev, _ := pollRefused(t, r, trust.ErrExpired)
			require.Equal(t, good, rev.Commit(), "back-dated to when the key was good")
		}
	}
}

func TestWithAClockThatMayBeWrongTheDateOfACommitCounts(t *testing.T) {
	t.Parallel()
	d := newDated(t)
	o := d.options(t)
	o.Clock = clock(time.Unix(0, 0), false)
	r := open(t, o)
	poll(t, r)
	future := d.future()
	require.Equal(t, future, poll(t, r).Commit())
	good := d.Commit(gitsourcetest.Commit{By: d.bob, Files: map[string]string{"a": "bob"}})
	rev, _ := pollRefused(t, r, trust.ErrExpired)
	require.Equal(t, future, rev.Commit())
	require.NoError(t, r.Close())
	o.Clock = clock(d.now, true)
	require.Equal(t, good, poll(t, open(t, o)).Commit(), "the clock is right by now")
}

func TestAnAuditWarnsOfACommitFromTheFuture(t *testing.T) {
	t.Parallel()
	d := newDated(t)
	future := d.future()
	good := d.Commit(gitsourcetest.Commit{By: d.bob, At: time.Now().Add(23 * time.Hour), Files: map[string]string{"a": "bob"}})
	audit, err := gitsource.OpenAudit(d.Dir, nil)
	require.NoError(t, err)
	v, err := audit.Explain(future)
	require.NoError(t, err)
	require.True(t, v.Accepted)
	require.Contains(t, v.Warning, "2099-01-01")
	v, err = audit.Merged(future+"^", future)
	require.NoError(t, err)
	require.Contains(t, v.Warning, "2099-01-01")
	v, err = audit.Explain(good)
	require.NoError(t, err)
	require.True(t, v.Accepted, "as hosts do")
	require.Empty(t, v.Warning)
}
