package gitsource_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hiddeco/sshsig"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// history is a branch of many signed commits, each of which changes one file. It
// is made with git fast-import and signed here, which takes seconds, not minutes.
type history struct {
	commits, files int
	path           func(n int) string
	keys           []benchKey        // sign in turn
	extra          map[string]string // more files of the first commit
}

// benchKey signs, and checks its own signatures with nothing around that.
type benchKey interface {
	trustFile() (name, content string)
	sign(b *testing.B, payload string) (armored string)
	bare(b *testing.B, payload, armored string) func() error
}

// signed is a commit, and what is signed of it.
type signed struct {
	hash, payload, armored string
	key                    benchKey
}

const benchStart = 1_700_000_000 // time of the first commit, in seconds

// write puts the history on main, oldest first.
func (h history) write(b *testing.B, repo *gitsourcetest.Repo) []signed {
	b.Helper()
	var in bytes.Buffer
	file := func(path, content string) {
		fmt.Fprintf(&in, "M 644 inline %s\ndata %d\n%s\n", path, len(content), content)
	}
	for n := range h.commits {
		fmt.Fprintf(&in, "commit refs/heads/unsigned\ncommitter A <a@example.com> %d +0000\ndata 1\nx\n", benchStart+n)
		if n == 0 {
			for _, key := range h.keys {
				name, content := key.trustFile()
				file("trust/"+name, content)
			}
			for name, content := range h.extra {
				file(name, content)
			}
			for i := range h.files {
				file(h.path(i), fmt.Sprintf("%0*d", 400, i))
			}
		}
		file(h.path(n*5%h.files), fmt.Sprintf("%0*d", 400, h.files+n))
	}
	cmd := exec.Command("git", "-C", repo.Dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s", out)

	dir, parent := b.TempDir(), ""
	var line []signed
	var files, names []string
	for n, tree := range strings.Fields(repo.Git("log", "--reverse", "--format=%T", "unsigned")) {
		head := "tree " + tree + "\n"
		if parent != "" {
			head += "parent " + parent + "\n"
		}
		head += fmt.Sprintf("author A <a@example.com> %[1]d +0000\ncommitter A <a@example.com> %[1]d +0000\n", benchStart+n)
		s := signed{payload: head + "\nx\n", key: h.keys[n%len(h.keys)]}
		s.armored = s.key.sign(b, s.payload)
		raw := []byte(head + "gpgsig " + strings.ReplaceAll(strings.TrimSpace(s.armored), "\n", "\n ") + "\n\nx\n")
		file := filepath.Join(dir, fmt.Sprint(n))
		require.NoError(b, os.WriteFile(file, raw, 0o600))
		files = append(files, file)
		parent = plumbing.ComputeHash(plumbing.CommitObject, raw).String()
		s.hash = parent
		line, names = append(line, s), append(names, parent)
	}
	cmd = exec.Command("git", "-C", repo.Dir, "hash-object", "-t", "commit", "-w", "--stdin-paths")
	cmd.Stdin = strings.NewReader(strings.Join(files, "\n") + "\n")
	out, err = cmd.Output()
	require.NoError(b, err)
	require.Equal(b, names, strings.Fields(string(out)))
	repo.Git("update-ref", "-d", "refs/heads/unsigned")
	repo.Git("update-ref", "refs/heads/main", parent)
	repo.Git("repack", "-q", "-ad")
	return line
}

func (h history) anchorFiles() map[string][]byte {
	files := make(map[string][]byte)
	for _, key := range h.keys {
		name, content := key.trustFile()
		files[name] = []byte(content)
	}
	return files
}

func (h history) anchor(b *testing.B) *trust.Keyring {
	b.Helper()
	keys, err := trust.ParseKeyring(h.anchorFiles())
	require.NoError(b, err)
	return keys
}

// bare is the processor time of the signature checks of a line by themselves, and
// how long they take, with what is signed in memory and signatures and keys read.
func bare(b *testing.B, line []signed) (used, took time.Duration) {
	b.Helper()
	checks := make([]func() error, len(line))
	for i, s := range line {
		checks[i] = s.key.bare(b, s.payload, s.armored)
	}
	started, before := time.Now(), cpu()
	for _, check := range checks {
		require.NoError(b, check())
	}
	return cpu() - before, time.Since(started)
}

// sshBenchKey is of golang.org/x/crypto/ssh.
type sshBenchKey struct {
	*gitsourcetest.Key
	private ssh.Signer
}

func newSSHBenchKey(b *testing.B) sshBenchKey {
	b.Helper()
	key := gitsourcetest.NewSSHKey(b, "alice@example.com", "ed25519")
	pem, err := os.ReadFile(key.PrivateFile())
	require.NoError(b, err)
	private, err := ssh.ParsePrivateKey(pem)
	require.NoError(b, err)
	return sshBenchKey{key, private}
}

func (k sshBenchKey) trustFile() (name, content string) { return "allowed_signers", k.Public() }

func (k sshBenchKey) sign(b *testing.B, payload string) string {
	b.Helper()
	sig, err := sshsig.Sign(strings.NewReader(payload), k.private, sshsig.HashSHA512, "git")
	require.NoError(b, err)
	return string(sshsig.Armor(sig))
}

func (k sshBenchKey) bare(b *testing.B, payload, armored string) func() error {
	b.Helper()
	sig, err := sshsig.Unarmor([]byte(armored))
	require.NoError(b, err)
	return func() error {
		return sshsig.Verify(strings.NewReader(payload), sig, k.private.PublicKey(), sshsig.HashSHA512, "git")
	}
}

// pgpBenchKey is of ProtonMail/go-crypto.
type pgpBenchKey struct{ entity *openpgp.Entity }

func newPGPBenchKey(b *testing.B) pgpBenchKey {
	b.Helper()
	entity, err := openpgp.NewEntity("Bob", "", "bob@example.com", pgpConfig(time.Unix(benchStart, 0)))
	require.NoError(b, err)
	return pgpBenchKey{entity}
}

func pgpConfig(at time.Time) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return at }}
}

func (k pgpBenchKey) trustFile() (name, content string) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err == nil {
		err = k.entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return "bob.asc", out.String() + "\n"
}

func (k pgpBenchKey) sign(b *testing.B, payload string) string {
	b.Helper()
	var out bytes.Buffer
	require.NoError(b, openpgp.ArmoredDetachSign(&out, k.entity, strings.NewReader(payload), pgpConfig(time.Unix(benchStart, 0))))
	return out.String()
}

func (k pgpBenchKey) bare(b *testing.B, payload, armored string) func() error {
	b.Helper()
	block, err := armor.Decode(strings.NewReader(armored))
	require.NoError(b, err)
	raw, err := io.ReadAll(block.Body)
	require.NoError(b, err)
	return func() error {
		_, _, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{k.entity}, strings.NewReader(payload), bytes.NewReader(raw), pgpConfig(time.Unix(benchStart, 0)))
		return err
	}
}
