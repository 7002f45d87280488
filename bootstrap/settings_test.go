package bootstrap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

func TestPasswordsAreInFilesThatRootAloneReads(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	m := fleet.Machine{Logins: map[string]fleet.Login{"mirror.example.com": {Username: "fleet", PasswordFile: file}}}
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"others can read it", "secret\n", 0o644, "can be read by others: its mode is 0644"},
		{"nothing in it", "\n", 0o600, "does not hold one line of text"},
		{"two lines", "secret\nsecret\n", 0o600, "does not hold one line of text"},
		{"no text", "secret\xff", 0o600, "does not hold one line of text"},
		{"too much", strings.Repeat("secret", 20000), 0o600, "no file of at most 65536 bytes"},
	} {
		require.NoError(t, os.RemoveAll(file))
		require.NoError(t, os.WriteFile(file, []byte(tt.text), tt.mode))
		_, err := registriesOf(m)
		require.ErrorContains(t, err, tt.want, tt.name)
		require.NotContains(t, err.Error(), "secret")
		var wrong *system.PreflightError
		require.ErrorAs(t, err, &wrong)
		require.Contains(t, wrong.Hint(), "chmod 600 "+file)
	}
	require.NoError(t, os.RemoveAll(file))
	_, err := registriesOf(m)
	require.ErrorContains(t, err, "no such file")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	r, err := registriesOf(m)
	require.NoError(t, err)
	require.Equal(t, "secret", r.Logins["mirror.example.com"].Password)
}

func TestNothingOfTheClusterGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	a := peers.Member{Name: "a", Role: fleet.ControlPlane}
	a.Network.Interface, a.Network.Address = "lo", "127.0.0.1"
	b, c := peers.Member{Name: "b"}, peers.Member{Name: "c"}
	b.Network.Address, c.Network.Address = "127.0.0.2", "192.0.2.7"
	list, err := direct(Request{Host: "a", Members: []peers.Member{a, b, c}, Distribution: fleet.Distribution{PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16"}})
	require.NoError(t, err)
	require.Equal(t, []string{"localhost", "127.0.0.0/8", "::1", ".svc", ".cluster.local", "10.244.0.0/16", "10.96.0.0/16", "127.0.0.0/8", "192.0.2.7"}, list,
		"its LAN as a whole, and who is beyond it")
}
