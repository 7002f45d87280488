package identity

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func keygen(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ssh-keygen", args...).CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

func TestSSHKeygenAgrees(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "identity")
	id, err := Load(dir)
	require.NoError(t, err)
	path := filepath.Join(dir, "host_key")
	require.Equal(t, id.PublicKey(), keygen(t, "-y", "-f", path), "the private key is one of OpenSSH's")
	fields := strings.Fields(keygen(t, "-lf", path+".pub"))
	require.Equal(t, []string{"256", id.Fingerprint()}, fields[:2])
	require.Equal(t, "(ED25519)", fields[len(fields)-1])
	for name, want := range map[string]os.FileMode{path: 0o600, path + ".pub": 0o644} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode(), name)
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestKeyStaysTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := Load(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "host_key.pub"), []byte("nonsense"), 0o600))
	again, err := Load(dir)
	require.NoError(t, err)
	require.Equal(t, id.PublicKey(), again.PublicKey())
	public, err := os.ReadFile(filepath.Join(dir, "host_key.pub"))
	require.NoError(t, err)
	require.Equal(t, id.PublicKey()+"\n", string(public), "the public half is made again")
}

func TestKeyOfSSHKeygenIsTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keygen(t, "-q", "-t", "ed25519", "-N", "", "-C", "made elsewhere", "-f", filepath.Join(dir, "host_key"))
	id, err := Load(dir)
	require.NoError(t, err)
	require.Equal(t, id.Fingerprint(), strings.Fields(keygen(t, "-lf", filepath.Join(dir, "host_key")))[1])
	require.Len(t, strings.Fields(id.PublicKey()), 2, "no comment")
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		err  string
	}{
		{"readable by others", func(t *testing.T, path string) {
			keygen(t, "-q", "-t", "ed25519", "-N", "", "-f", path)
			require.NoError(t, os.Chmod(path, 0o640))
		}, "permissions 0640"},
		{"of another type", func(t *testing.T, path string) {
			keygen(t, "-q", "-t", "ecdsa", "-N", "", "-f", path)
		}, "not an ed25519 key"},
		{"with a passphrase", func(t *testing.T, path string) {
			keygen(t, "-q", "-t", "ed25519", "-N", "secret", "-f", path)
		}, "passphrase"},
		{"empty", func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, nil, 0o600)) }, "no key found"},
		{"too long", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("x"), maxKeyFile+1), 0o600))
		}, "over the limit"},
		{"a link", func(t *testing.T, path string) { require.NoError(t, os.Symlink("/nowhere", path)) }, "no regular file"},
		{"a folder", func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }, "no regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.make(t, filepath.Join(dir, "host_key"))
			_, err := Load(dir)
			require.ErrorContains(t, err, tt.err)
		})
	}
}

func TestConcurrentFirstStartsAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		wg.Go(func() {
			id, err := Load(dir)
			if err != nil {
				keys[i] = fmt.Sprint(i, err)
				return
			}
			keys[i] = id.PublicKey()
		})
	}
	wg.Wait()
	for _, k := range keys {
		require.Equal(t, keys[0], k)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "nothing temporary stays")
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := Load(dir)
	require.NoError(t, err)
	keygen(t, "-q", "-t", "ecdsa", "-N", "", "-f", filepath.Join(dir, "other"))
	other, err := os.ReadFile(filepath.Join(dir, "other.pub"))
	require.NoError(t, err)
	for _, tt := range []struct{ name, text, err string }{
		{"plain", id.PublicKey(), ""},
		{"with a comment", " " + id.PublicKey() + " root@host\n", ""},
		{"with options", `command="x" ` + id.PublicKey(), "not a plain"},
		{"of another type", string(other), "ecdsa"},
		{"two keys", id.PublicKey() + "\n" + id.PublicKey(), "more than one line"},
		{"cut off", id.PublicKey()[:40], "no public key"},
		{"a fingerprint", id.Fingerprint(), "no public key"},
		{"too long", id.PublicKey() + strings.Repeat(" x", maxKeyText), "over the limit"},
		{"empty", "", "no public key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, fingerprint, err := ParsePublicKey(tt.text)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, id.PublicKey(), key)
			require.Equal(t, id.Fingerprint(), fingerprint)
		})
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	id, err := Load(t.TempDir())
	require.NoError(t, err)
	f := id.Facts()
	kernel, err := exec.Command("uname", "-r").Output()
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(kernel)), f.Kernel)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, host, f.Hostname)
	require.Equal(t, runtime.GOARCH, f.Arch)
	require.Equal(t, runtime.NumCPU(), f.CPUs)
	require.NotEmpty(t, f.OS)
	mem, err := os.ReadFile("/proc/meminfo")
	require.NoError(t, err)
	var kib uint64
	_, err = fmt.Sscanf(string(mem), "MemTotal: %d kB", &kib)
	require.NoError(t, err)
	require.Equal(t, kib<<10, f.MemoryBytes)
}

func TestReleaseNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"quoted", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", "Debian GNU/Linux 12 (bookworm)"},
		{"bare", "PRETTY_NAME=Alpine", "Alpine"},
		{"no terminal escapes", "PRETTY_NAME=\"a\x1b[2Jb\"", "a[2Jb"},
		{"missing", "ID=x", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, parseRelease(tt.text))
		})
	}
}

func FuzzPublicKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		key, _, err := ParsePublicKey(text)
		if err != nil {
			return
		}
		again, _, err := ParsePublicKey(key)
		require.NoError(t, err)
		require.Equal(t, key, again)
		require.Len(t, strings.Fields(key), 2)
	})
}

func FuzzPrivateKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := parseKey(data)
		require.Equal(t, err == nil, key != nil)
	})
}

func FuzzRelease(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		require.NotContains(t, parseRelease(text), "\x1b")
	})
}

func TestFuzzersHaveSeeds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FuzzPublicKey", "FuzzPrivateKey", "FuzzRelease"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*"))
		require.NoError(t, err)
		require.NotEmpty(t, seeds, name)
	}
}
