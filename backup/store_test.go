package backup

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// vault is a target, with all that a host needs to open it.
type vault struct {
	fleet.Target
	Opener
}

// vaults has one of each kind: a folder, a real sshd, a server of S3.
func vaults() map[string]func(t *testing.T) vault {
	return map[string]func(t *testing.T) vault{
		"folder": func(t *testing.T) vault { return vault{Target: fleet.Target{Folder: t.TempDir()}} },
		"sftp":   sftpVault,
		"s3":     s3Vault,
	}
}

func sftpVault(t *testing.T) vault {
	t.Helper()
	key := gitsourcetest.NewSSHKey(t, "host", "ed25519")
	public, err := os.ReadFile(key.PrivateFile() + ".pub")
	require.NoError(t, err)
	private, err := os.ReadFile(key.PrivateFile())
	require.NoError(t, err)
	login, err := ssh.ParsePrivateKey(private)
	require.NoError(t, err)
	server := gitsourcetest.NewSSHD(t, string(public))
	known, err := os.ReadFile(server.KnownHosts)
	require.NoError(t, err)
	return vault{
		fleet.Target{SFTP: "sftp" + strings.TrimPrefix(server.URL, "ssh") + t.TempDir(), KnownHostsFile: "bases/known_hosts"},
		Opener{Files: map[string][]byte{"bases/known_hosts": known}, Login: login},
	}
}

func s3Vault(t *testing.T) vault {
	t.Helper()
	memory := s3mem.New()
	require.NoError(t, memory.CreateBucket("shops"))
	server := httptest.NewTLSServer(gofakes3.New(memory).Server())
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	own, to := newKey(t)
	login, err := secrets.Encrypt("login.sops.yaml", []byte("accessKeyID: me\nsecretAccessKey: hunter2\n"), secrets.Rule{Recipients: []string{to}}, time.Now())
	require.NoError(t, err)
	return vault{
		fleet.Target{S3: server.URL + "/shops/emea", Credentials: "bases/login.sops.yaml", CAFile: "bases/ca.pem"},
		Opener{Files: map[string][]byte{"bases/login.sops.yaml": login, "bases/ca.pem": authority}, Secrets: own},
	}
}

// newKey makes a pair of keys of age.
func newKey(t *testing.T) (secrets.Identity, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	own, err := secrets.ParseIdentities("key", []byte(id.String()))
	require.NoError(t, err)
	return own[0], id.Recipient().String()
}

func testName(number int) Name {
	return Name{"store-042", number, time.Date(2026, 11, 26, 3, 30, 0, 0, time.UTC), "1f0c9a6d2b44", "9f86d081884c7d65"}
}

func source(t *testing.T, data []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// TestEachStore puts all kinds through the same.
func TestEachStore(t *testing.T) {
	t.Parallel()
	for kind, open := range vaults() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := open(t)
			store, err := v.Open(t.Context(), v.Target)
			require.NoError(t, err)
			defer store.Close()
			list, err := store.List(t.Context())
			require.NoError(t, err)
			require.Empty(t, list)

			large := bytes.Repeat([]byte("holdfast"), 900_000) // more than a part of S3
			name := testName(1)
			require.NoError(t, store.Put(t.Context(), name.String(), source(t, large)))
			require.NoError(t, store.Put(t.Context(), "notes.txt", source(t, large[:9])), "what is no backup is not looked at")
			list, err = store.List(t.Context())
			require.NoError(t, err)
			require.Equal(t, []Stored{{name, int64(len(large))}}, list)
			var got bytes.Buffer
			require.NoError(t, store.Get(t.Context(), name.String(), &got))
			require.True(t, bytes.Equal(large, got.Bytes()))

			require.NoError(t, store.Put(t.Context(), name.String(), source(t, large[:8])), "what is there in part is written again")
			list, err = store.List(t.Context())
			require.NoError(t, err)
			require.Equal(t, []Stored{{name, 8}}, list)
			require.NoError(t, store.Remove(t.Context(), name.String()))
			require.ErrorIs(t, store.Get(t.Context(), name.String(), &got), errNoFile)

			gone, err := os.Open(os.DevNull)
			require.NoError(t, err)
			require.NoError(t, gone.Close())
			require.Error(t, store.Put(t.Context(), name.String(), gone), "a file that cannot be read")
			list, err = store.List(t.Context())
			require.NoError(t, err)
			require.Empty(t, list, "is not there in part")
		})
	}
}

// TestTargetsThatCannotBeOpened are refused, with no secret in what is said.
func TestTargetsThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	own, to := newKey(t)
	sealed := func(text string) Opener {
		data, err := secrets.Encrypt("login.sops.yaml", []byte(text), secrets.Rule{Recipients: []string{to}}, time.Now())
		require.NoError(t, err)
		return Opener{Files: map[string][]byte{"login.yaml": data, "known": []byte("elsewhere ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIfHE3IHkQyBpZb6TTUPVdmKqsDLKjGHyAPXNaCeYh+y\n")}, Secrets: own}
	}
	for _, tt := range []struct {
		name   string
		target fleet.Target
		with   Opener
		want   string
	}{
		{"a share that is not mounted", fleet.Target{Folder: "/mnt/nowhere"}, Opener{}, "it is not a folder that is there"},
		{"credentials of something else", fleet.Target{S3: "https://s3/b", Credentials: "login.yaml"}, sealed("token: hunter2\n"), "what is no credential for it"},
		{"half of the credentials", fleet.Target{S3: "https://s3/b", Credentials: "login.yaml"}, sealed("accessKeyID: hunter2\n"), "its credentials are not whole"},
		{"credentials that are not there", fleet.Target{S3: "https://s3/b", Credentials: "login.yaml"}, Opener{}, "login.yaml"},
		{"an authority that is none", fleet.Target{S3: "https://s3/b", Credentials: "login.yaml", CAFile: "known"}, sealed("accessKeyID: hunter2\nsecretAccessKey: hunter2\n"), "caFile holds no certificate"},
		{"a server that is not known", fleet.Target{SFTP: "sftp://me@nas/b", KnownHostsFile: "known"}, sealed("password: hunter2\n"), "knownHostsFile has no key of nas:22"},
		{"a key that is none", fleet.Target{SFTP: "sftp://me@elsewhere/b", KnownHostsFile: "known", Credentials: "login.yaml"}, sealed("privateKey: hunter2\n"), "privateKey of the credentials is not a key of SSH"},
		{"known hosts that are not there", fleet.Target{SFTP: "sftp://me@nas/b", KnownHostsFile: "none"}, Opener{}, "none of the fleet is not there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.with.Open(t.Context(), tt.target)
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "open "+tt.target.Name())
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// TestAServerIsNotWaitedForPastTheEnd hangs up when the agent ends.
func TestAServerIsNotWaitedForPastTheEnd(t *testing.T) {
	t.Parallel()
	v := sftpVault(t)
	ctx, cancel := context.WithCancel(t.Context())
	store, err := v.Open(ctx, v.Target)
	require.NoError(t, err)
	defer store.Close()
	cancel()
	require.Eventually(t, func() bool {
		_, err := store.List(t.Context())
		return err != nil
	}, time.Minute, 10*time.Millisecond)
}
