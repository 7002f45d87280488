package gitsourcetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Key is a key pair of a signer, made by gpg or ssh-keygen.
type Key struct {
	Email string
	// Fingerprint is upper-case hex for OpenPGP, "SHA256:…" for SSH.
	Fingerprint string

	t       T
	ssh     string // file of the private key, or empty
	home    string // GNUPGHOME, or empty
	program string // what git runs to sign, if not the default
	public  string // instead of what gpg exports
}

// NewSSHKey makes a key with ssh-keygen; algorithm is ed25519, ecdsa or rsa, with
// an optional size: rsa-3072.
func NewSSHKey(t T, email, algorithm string) *Key {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	args := []string{"-N", "", "-C", email, "-f", file}
	kind, bits, sized := strings.Cut(algorithm, "-")
	if sized {
		args = append(args, "-b", bits)
	}
	said := run(t, exec.Command("ssh-keygen", append(args, "-t", kind)...))
	_, after, found := strings.Cut(said, "The key fingerprint is:\n")
	if !found {
		t.Fatalf("ssh-keygen tells no fingerprint: %s", said)
	}
	fingerprint, _, _ := strings.Cut(after, " ")
	return &Key{Email: email, Fingerprint: fingerprint, t: t, ssh: file}
}

// sharedKey is what ssh-keygen made and said.
type sharedKey struct {
	fingerprint     string
	private, public []byte
}

var shared = struct {
	sync.Mutex
	keys map[string]sharedKey // by e-mail address
}{keys: make(map[string]sharedKey)}

// SharedSSHKey is an ed25519 key that is made once for all tests of a program that
// name its e-mail address, in files of this test.
func SharedSSHKey(t T, email string) *Key {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	made, found := shared.keys[email]
	if !found {
		k := NewSSHKey(t, email, "ed25519")
		made = sharedKey{k.Fingerprint, readFile(t, k.ssh), readFile(t, k.ssh+".pub")}
		shared.keys[email] = made
	}
	k := &Key{Email: email, Fingerprint: made.fingerprint, t: t, ssh: filepath.Join(t.TempDir(), "key")}
	writeFile(t, k.ssh, made.private)
	writeFile(t, k.ssh+".pub", made.public)
	return k
}

// OpenPGP describes a key to make with gpg.
type OpenPGP struct {
	Email     string
	Algorithm string        // as for gpg --quick-generate-key: rsa3072, ed25519
	Created   time.Time     // zero: now
	Lifetime  time.Duration // zero: for ever
	Options   []string      // further ones of gpg
}

// NewOpenPGPKey makes a key in a GnuPG home of its own, whose agent ends with the test.
func NewOpenPGPKey(t T, o OpenPGP) *Key {
	t.Helper()
	// t.TempDir may be too long for the agent's socket.
	home, err := os.MkdirTemp("", "hf-gpg-")
	if err != nil {
		t.Fatalf("make GnuPG home: %v", err)
	}
	k := &Key{Email: o.Email, t: t, home: home}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = append(os.Environ(), k.env()...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("end gpg-agent: %v: %s", err, out)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Fatalf("remove GnuPG home: %v", err)
		}
	})
	expire := "never"
	if o.Lifetime > 0 {
		expire = fmt.Sprintf("seconds=%d", int(o.Lifetime.Seconds()))
	}
	options := append(fakedTime(o.Created), o.Options...)
	k.gpg(append(options, "--passphrase", "", "--quick-generate-key", "Test <"+o.Email+">", o.Algorithm, "sign", expire)...)
	for _, line := range strings.Split(k.gpg("--with-colons", "--list-keys"), "\n") {
		if f := strings.Split(line, ":"); f[0] == "fpr" && k.Fingerprint == "" {
			k.Fingerprint = f[9]
		}
	}
	return k
}

// SignAt makes gpg believe that it signs at the given time.
func (k *Key) SignAt(at time.Time) {
	k.t.Helper()
	k.wrap(fakedTime(at)...)
}

// SignWith makes gpg sign with further options, such as --digest-algo.
func (k *Key) SignWith(options ...string) {
	k.t.Helper()
	k.wrap(options...)
}

func (k *Key) wrap(options ...string) {
	k.t.Helper()
	k.program = filepath.Join(k.home, "sign")
	script := "#!/bin/sh\nexec gpg " + strings.Join(options, " ") + ` "$@"` + "\n"
	if err := os.WriteFile(k.program, []byte(script), 0o755); err != nil {
		k.t.Fatalf("write %s: %v", k.program, err)
	}
}

func fakedTime(at time.Time) []string {
	if at.IsZero() {
		return nil
	}
	return []string{"--faked-system-time", at.UTC().Format("20060102T150405") + "!"}
}

// Revoke puts the revocation that gpg made beside an OpenPGP key into effect.
func (k *Key) Revoke() {
	k.t.Helper()
	data := readFile(k.t, filepath.Join(k.home, "openpgp-revocs.d", k.Fingerprint+".rev"))
	// gpg puts a colon before the armor so that it is not imported by mistake.
	file := filepath.Join(k.home, "revocation.asc")
	writeFile(k.t, file, bytes.Replace(data, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1))
	k.gpg("--import", file)
}

// Retire revokes an OpenPGP key at a later time than it was made: not because
// somebody stole it, but as no longer used.
func (k *Key) Retire(at time.Time) {
	k.t.Helper()
	file := filepath.Join(k.home, "retired.asc")
	cmd := exec.Command("gpg", append(fakedTime(at), "--no-tty", "--command-fd", "0", "--pinentry-mode", "loopback", "--passphrase", "", "-o", file, "--gen-revoke", k.Fingerprint)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), k.env()...), strings.NewReader("y\n3\n\ny\n")
	run(k.t, cmd)
	k.gpg("--import", file)
}

// RevokePublic revokes the key in what Public returns, while gpg goes on signing
// with it: what a thief does who has the private half.
func (k *Key) RevokePublic() {
	k.t.Helper()
	backup := filepath.Join(k.home, "before.asc")
	writeFile(k.t, backup, []byte(k.gpg("--armor", "--export-secret-keys", k.Fingerprint)+"\n"))
	k.Revoke()
	k.public = k.gpg("--armor", "--export", k.Fingerprint) + "\n"
	k.gpg("--yes", "--delete-secret-and-public-key", k.Fingerprint)
	k.gpg("--import", backup)
}

// Public is the armored OpenPGP key, or a line of an allowed_signers file.
func (k *Key) Public() string {
	k.t.Helper()
	if k.public != "" {
		return k.public
	}
	if k.ssh == "" {
		return k.gpg("--armor", "--export", k.Fingerprint) + "\n"
	}
	return k.AllowedSigner("")
}

// AllowedSigner is a line of an allowed_signers file with options, such as
// namespaces="git"; for SSH keys only.
func (k *Key) AllowedSigner(options string) string {
	k.t.Helper()
	data := readFile(k.t, k.ssh+".pub")
	if options != "" {
		options += " "
	}
	return k.Email + " " + options + string(data)
}

// File is the path under which a fleet holds the key.
func (k *Key) File() string {
	if k.ssh == "" {
		return "trust/" + k.Email + ".asc"
	}
	return "trust/allowed_signers"
}

// PrivateFile is the file of an SSH key's private half.
func (k *Key) PrivateFile() string { return k.ssh }

// Sign signs data as git does, in the given namespace (which OpenPGP does not
// have); it returns the armored signature.
func (k *Key) Sign(data []byte, namespace string) []byte {
	k.t.Helper()
	file := filepath.Join(k.t.TempDir(), "data")
	writeFile(k.t, file, data)
	if k.ssh != "" {
		run(k.t, exec.Command("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", k.ssh, file))
	} else {
		program := "gpg"
		if k.program != "" {
			program = k.program
		}
		cmd := exec.Command(program, "--batch", "-u", k.Fingerprint, "--armor", "-o", file+".sig", "--detach-sign", file)
		cmd.Env = append(os.Environ(), k.env()...)
		run(k.t, cmd)
	}
	return readFile(k.t, file+".sig")
}

func (k *Key) config() []string {
	if k.ssh != "" {
		return []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + k.ssh}
	}
	args := []string{"-c", "gpg.format=openpgp", "-c", "user.signingKey=" + k.Fingerprint}
	if k.program != "" {
		args = append(args, "-c", "gpg.program="+k.program)
	}
	return args
}

func (k *Key) env() []string {
	if k.home == "" {
		return nil
	}
	return []string{"GNUPGHOME=" + k.home, "LC_ALL=C"}
}

func (k *Key) gpg(args ...string) string {
	k.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--batch", "--no-tty", "--pinentry-mode", "loopback"}, args...)...)
	cmd.Env = append(os.Environ(), k.env()...)
	return run(k.t, cmd)
}

func readFile(t T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return data
}

func writeFile(t T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
}
