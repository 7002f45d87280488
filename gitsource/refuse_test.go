package gitsource_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// Long, because it is one table.
func TestRefusesAndKeepsTheGoodPrefix(t *testing.T) {
	t.Parallel()
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		// build makes what is refused, on top of a good commit.
		build func(t *testing.T, f *fleet) string
		want  error
	}{
		{"an unsigned commit", func(t *testing.T, f *fleet) string {
			return f.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "evil"}})
		}, trust.ErrUnsigned},
		{"an unsigned commit under a signed one", func(t *testing.T, f *fleet) string {
			bad := f.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "evil"}})
			f.commit(map[string]string{"b": "good"})
			return bad
		}, trust.ErrUnsigned},
		{"a stranger with the same name", func(t *testing.T, f *fleet) string {
			return f.Commit(gitsourcetest.Commit{By: gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519")})
		}, trust.ErrUnknownSigner},
		{"a stranger who adds his own key", func(t *testing.T, f *fleet) string {
			eve := gitsourcetest.NewSSHKey(t, "eve@example.com", "ed25519")
			return f.Commit(gitsourcetest.Commit{By: eve, Files: map[string]string{"trust/allowed_signers": eve.Public()}})
		}, trust.ErrUnknownSigner},
		{"an expired OpenPGP key", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "bob@example.com", Algorithm: "ed25519", Created: old, Lifetime: 24 * time.Hour})
			bob.SignAt(old.Add(time.Hour))
			f.commit(map[string]string{bob.File(): bob.Public()})
			return f.Commit(gitsourcetest.Commit{By: bob})
		}, trust.ErrExpired},
		{"an expired key on a back-dated commit", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "bob@example.com", Algorithm: "ed25519", Created: old, Lifetime: 24 * time.Hour})
			bob.SignAt(old.Add(time.Hour))
			f.commit(map[string]string{bob.File(): bob.Public()})
			return f.Commit(gitsourcetest.Commit{By: bob, At: old.Add(time.Hour)})
		}, trust.ErrExpired},
		{"an expired SSH key", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.AllowedSigner(`valid-before="20200101Z"`)})
			return f.Commit(gitsourcetest.Commit{By: bob})
		}, trust.ErrExpired},
		{"an expired SSH key on a back-dated commit", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.AllowedSigner(`valid-before="20200101Z"`)})
			return f.Commit(gitsourcetest.Commit{By: bob, At: old.Add(-time.Hour)})
		}, trust.ErrExpired},
		{"an expired SSH key behind a back-dated commit", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.AllowedSigner(`valid-before="20200101Z"`)})
			f.Commit(gitsourcetest.Commit{By: f.alice, At: old.Add(-time.Hour)})
			return f.Commit(gitsourcetest.Commit{By: bob, At: old.Add(-time.Hour)})
		}, trust.ErrExpired},
		{"a revoked key", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "bob@example.com", Algorithm: "ed25519"})
			f.commit(map[string]string{bob.File(): bob.Public()})
			// gpg does not sign with a revoked key, so only what it exports is revoked here.
			bob.RevokePublic()
			f.commit(map[string]string{bob.File(): bob.Public()})
			return f.Commit(gitsourcetest.Commit{By: bob, Files: map[string]string{"a": "bob may not"}})
		}, trust.ErrRevoked},
		{"a weak key", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "rsa-1024")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.Public()})
			return f.Commit(gitsourcetest.Commit{By: bob})
		}, trust.ErrWeak},
		{"a key for another namespace", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.AllowedSigner(`namespaces="file"`)})
			return f.Commit(gitsourcetest.Commit{By: bob})
		}, trust.ErrUnknownSigner},
		{"a key that was removed", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.Public()})
			f.Commit(gitsourcetest.Commit{By: bob, Files: map[string]string{"a": "bob may"}})
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public()})
			return f.Commit(gitsourcetest.Commit{By: bob, Files: map[string]string{"a": "bob may not"}})
		}, trust.ErrUnknownSigner},
		{"a forbidden path", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.Public(), "trust/policy.yaml": policy})
			f.Commit(gitsourcetest.Commit{By: bob, Files: map[string]string{"sites/a/x": "bob may"}})
			return f.Commit(gitsourcetest.Commit{By: bob, Files: map[string]string{"sites/a/x": "1", "trust/policy.yaml": policy + "# mine\n"}})
		}, trust.ErrForbiddenPath},
		{"a forbidden removal", func(t *testing.T, f *fleet) string {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			f.commit(map[string]string{"trust/allowed_signers": f.alice.Public() + bob.Public(), "trust/policy.yaml": policy})
			return f.Commit(gitsourcetest.Commit{By: bob, Remove: []string{"fleet.yaml"}})
		}, trust.ErrForbiddenPath},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			r := open(t, f.options(t))
			poll(t, r)
			bad := tt.build(t, f)
			rev, refused := pollRefused(t, r, tt.want)
			require.Equal(t, bad, refused.Commit)
			require.Equal(t, f.url, refused.Source)
			require.Equal(t, f.Git("rev-parse", bad+"^"), rev.Commit(), "what came before is accepted")
			again, _ := pollRefused(t, r, tt.want)
			require.Equal(t, rev.Commit(), again.Commit(), "reported again while it stays the tip")

			f.Git("reset", "-q", "--hard", rev.Commit())
			f.commit(map[string]string{"healed": "1"})
			require.Equal(t, f.Head(), poll(t, r).Commit())
		})
	}
}

func TestRefusesAChangeOfTrustThatWouldLockEverybodyOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, content, want string }{
		{"keys that do not parse", "trust/allowed_signers", "alice@example.com nonsense\n", "trust/allowed_signers:1: "},
		{"a policy that does not parse", "trust/policy.yaml", "kind: [\n", "trust/policy.yaml:"},
		{"a rule that nobody satisfies", "trust/policy.yaml", `apiVersion: holdfast.dev/v1alpha1
kind: TrustPolicy
spec: {mode: commit, groups: {owners: [olga@example.com]}, rules: [{paths: ["**"], groups: [owners]}]}
`, "no member of owners has a key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			r := open(t, f.options(t))
			first := poll(t, r)
			f.commit(map[string]string{tt.file: tt.content})
			require.NoError(t, r.Fetch(context.Background()))
			rev, err := r.Verify(context.Background())
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, first.Commit(), rev.Commit())
		})
	}
}

const policy = `apiVersion: holdfast.dev/v1alpha1
kind: TrustPolicy
spec:
  mode: commit
  groups:
    owners: [alice@example.com]
    ops: [bob@example.com]
  rules:
  - {paths: ["sites/**"], groups: [ops, owners]}
  - {paths: ["**"], groups: [owners]}
`

func TestAnUnsignedHistoryBesideTheFloorIsNoAlarm(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first := f.Head()
	r := open(t, f.options(t))
	poll(t, r)
	floor := f.commit(map[string]string{"a": "2"})
	poll(t, r)
	f.Git("reset", "-q", "--hard", first)
	f.Commit(gitsourcetest.Commit{By: gitsourcetest.NewSSHKey(t, "eve@example.com", "ed25519"), Files: map[string]string{"a": "other"}})
	rev, refused := pollRefused(t, r, gitsource.ErrRewritten)
	require.Equal(t, floor, rev.Commit())
	require.NotErrorIs(t, refused, gitsource.ErrDiverged)
	require.Empty(t, gitsource.Alarms(refused))
}
