package kubeadm

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

func TestHostsRenewAtDifferentTimesAndLongBeforeTheEnd(t *testing.T) {
	t.Parallel()
	times := map[time.Duration]bool{}
	for _, host := range []string{"store-042-a", "store-042-b", "store-042-c"} {
		n := testNode(t)
		n.Host = host
		before := n.renewBefore()
		require.GreaterOrEqual(t, before, 60*24*time.Hour)
		require.Less(t, before, 70*24*time.Hour)
		times[before] = true
	}
	require.Greater(t, len(times), 1)
}

// TestCertificatesOfAClockThatWasAhead do not count once it is right.
func TestCertificatesOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		made time.Time
		want bool
	}{
		{"one that was made now counts", now, false},
		{"as does one of a host whose clock is a little ahead", now.Add(skew), false},
		{"one of a host whose clock is more than that ahead does not yet", now.Add(skew + time.Second), true},
		{"one of the year 2040 does not", time.Date(2040, 11, 26, 8, 0, 0, 0, time.UTC), true},
		{"one of 1970 has begun", time.Unix(0, 0), false},
	} {
		require.Equal(t, tt.want, early(now, &x509.Certificate{NotBefore: tt.made}), tt.name)
	}
}

// TestACertificateThatWasJustMadeIsNotMadeAgain, be it by somebody whose clock is wrong:
// each renewal restarts the control plane of its host.
func TestACertificateThatWasJustMadeIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		renewed time.Time
		want    bool
	}{
		{"none was ever renewed", time.Time{}, false},
		{"it was made now", now, true},
		{"it was made within the hour", now.Add(-59 * time.Minute), true},
		{"there is another try after that", now.Add(-time.Hour), false},
		{"it was made while the clock was ahead, and is made again once it is right", time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		require.Equal(t, tt.want, record{Renewed: tt.renewed}.justRenewed(now), tt.name)
	}
	n := testNode(t)
	require.NoError(t, n.writeRecord(record{Step: stepReady, Renewed: now}))
	rec, err := n.readRecord()
	require.NoError(t, err)
	require.True(t, rec.justRenewed(now.Add(time.Minute)), "also after a restart")
}

// TestNothingIsSignedByAClockThatIsWrong takes the ten years of an authority as what a
// clock can be held against.
func TestNothingIsSignedByAClockThatIsWrong(t *testing.T) {
	t.Parallel()
	at := func(year int) time.Time { return time.Date(year, 11, 26, 8, 0, 0, 0, time.UTC) }
	authority := &x509.Certificate{NotBefore: at(2026), NotAfter: at(2036)}
	require.NoError(t, fits(at(2027), authority))
	require.EqualError(t, fits(at(1970), authority), "the clock of this host says 1970-11-26, and its cluster's authority counts from 2026-11-26 to 2036-11-26")
	var wrong *system.PreflightError
	require.ErrorAs(t, fits(at(2040), authority), &wrong)
	require.Contains(t, wrong.Hint(), "set the clock right")
}

// TestWhatARenewalChangesIsCopied leaves manifests alone: a kubelet watches them.
func TestWhatARenewalChangesIsCopied(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "before")
	for file, text := range map[string]string{
		"admin.conf": "admin", "pki/apiserver.key": "key", "pki/etcd/peer.crt": "peer", "manifests/etcd.yaml": "pod",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(from, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(from, file), []byte(text), 0o600))
	}
	require.NoError(t, copyCertificates(from, to))
	require.NoDirExists(t, filepath.Join(to, "manifests"))

	require.NoError(t, os.WriteFile(filepath.Join(from, "pki/apiserver.key"), []byte("half a"), 0o600))
	require.NoError(t, copyCertificates(to, from))
	for file, want := range map[string]string{"admin.conf": "admin", "pki/apiserver.key": "key", "pki/etcd/peer.crt": "peer"} {
		got, err := os.ReadFile(filepath.Join(from, file))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		info, err := os.Stat(filepath.Join(from, file))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}
