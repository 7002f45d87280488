package gitsource_test

import (
	"cmp"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
)

func publicLine(t *testing.T, key *gitsourcetest.Key) string {
	t.Helper()
	data, err := os.ReadFile(key.PrivateFile() + ".pub")
	require.NoError(t, err)
	return string(data)
}

func TestSSHWithAKeyFileAndWithTheHostsOwnKey(t *testing.T) {
	t.Parallel()
	id, err := identity.Load(filepath.Join(t.TempDir(), "identity"))
	require.NoError(t, err)
	key := gitsourcetest.NewSSHKey(t, "host@example.com", "ed25519")
	rsa := gitsourcetest.NewSSHKey(t, "host@example.com", "rsa-3072")
	sshd := gitsourcetest.NewSSHD(t, publicLine(t, key)+publicLine(t, rsa)+id.PublicKey()+"\n")
	private, err := os.ReadFile(key.PrivateFile())
	require.NoError(t, err)
	known, err := os.ReadFile(sshd.KnownHosts)
	require.NoError(t, err)
	for name, source := range map[string]gitsource.Source{
		"a key in memory":    {KeyFile: "key", KnownHostsFile: "hosts", Files: map[string][]byte{"key": private, "hosts": known}},
		"a key file":         {KeyFile: key.PrivateFile()},
		"an RSA key file":    {KeyFile: rsa.PrivateFile()},
		"the host's own key": {HostKey: func() (ssh.Signer, error) { return id.Signer(), nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			source.URL, source.KnownHostsFile = sshd.URL+f.Dir, cmp.Or(source.KnownHostsFile, sshd.KnownHosts)
			o := f.options(t)
			o.Sources = []gitsource.Source{source}
			r := open(t, o)
			require.Equal(t, f.Head(), poll(t, r).Commit())
			require.Equal(t, f.Head(), poll(t, r).Commit(), "nothing new")
			for _, content := range []string{"1", "2"} {
				f.commit(map[string]string{"a": content})
				require.Equal(t, f.Head(), poll(t, r).Commit())
			}
		})
	}
}

// Long, because it is one table.
func TestSSHRefuses(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	key := gitsourcetest.NewSSHKey(t, "host@example.com", "ed25519")
	sshd := gitsourcetest.NewSSHD(t, publicLine(t, key))
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(content), mode))
		return file
	}
	private, err := os.ReadFile(key.PrivateFile())
	require.NoError(t, err)
	known, err := os.ReadFile(sshd.KnownHosts)
	require.NoError(t, err)
	stranger := gitsourcetest.NewSSHKey(t, "eve@example.com", "ed25519")
	address, _, _ := strings.Cut(string(known), " ")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	_, silentPort, err := net.SplitHostPort(silent.Addr().String())
	require.NoError(t, err)
	for _, tt := range []struct {
		name, url, key, known, want string
	}{
		{"a server that is not known", sshd.URL + f.Dir, key.PrivateFile(), write("none", "", 0o600), "has no key of 127.0.0.1"},
		{"a server with another key", sshd.URL + f.Dir, key.PrivateFile(), write("other", address+" "+publicLine(t, stranger), 0o600), "knownhosts: key mismatch"},
		{"a key that the server does not know", sshd.URL + f.Dir, stranger.PrivateFile(), sshd.KnownHosts, "unable to authenticate"},
		{"a key file that others can read", sshd.URL + f.Dir, write("open", string(private), 0o644), sshd.KnownHosts, "others can read the secret"},
		{"no repository", sshd.URL + "/none", key.PrivateFile(), sshd.KnownHosts, "does not appear to be a git repository"},
		{"a path that a shell would run", sshd.URL + "/x';touch%20" + dir + "/hacked;'", key.PrivateFile(), sshd.KnownHosts, "fatal: '/x';touch "},
		{"a server that says nothing", "ssh://git@127.0.0.1:" + silentPort + "/x", key.PrivateFile(), write("silent", "[127.0.0.1]:"+silentPort+" "+publicLine(t, stranger), 0o600), "no answer within 1s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := f.options(t)
			o.Sources = append(o.Sources, gitsource.Source{URL: tt.url, KeyFile: tt.key, KnownHostsFile: tt.known})
			if tt.name == "a server that says nothing" {
				o.Sources[1].Answer = time.Second
			}
			r := open(t, o)
			require.ErrorContains(t, r.Fetch(context.Background()), tt.want)
			rev, err := r.Verify(context.Background())
			require.NoError(t, err)
			require.Equal(t, f.Head(), rev.Commit(), "the other source is heard")
			require.NoFileExists(t, filepath.Join(dir, "hacked"))
		})
	}
}
