package gitsourcetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	args := []string{"-q", "-N", "", "-C", email, "-f", file}
	kind, bits, sized := strings.Cut(algorithm, "-")
	if sized {
		args = append(args, "-b", bits)
	}
	run(t, exec.Command("ssh-keygen", append(args, "-t", kind)...))
	fields := strings.Fields(run(t, exec.Command("ssh-keygen", "-l", "-E", "sha256", "-f", file)))
	return &Key{Email: email, Fingerprint: fields[1], t: t, ssh: file}
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
	data, err := os.ReadFile(filepath.Join(k.home, "openpgp-revocs.d", k.Fingerprint+".rev"))
	if err != nil {
		k.t.Fatalf("read revocation: %v", err)
	}
	// gpg puts a colon before the armor so that it is not imported by mistake.
	file := filepath.Join(k.home, "revocation.asc")
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), ":-----BEGIN", "-----BEGIN", 1)), 0o600); err != nil {
		k.t.Fatalf("write revocation: %v", err)
	}
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
	if err := os.WriteFile(backup, []byte(k.gpg("--armor", "--export-secret-keys", k.Fingerprint)+"\n"), 0o600); err != nil {
		k.t.Fatalf("write %s: %v", backup, err)
	}
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
	data, err := os.ReadFile(k.ssh + ".pub")
	if err != nil {
		k.t.Fatalf("read public key: %v", err)
	}
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
	if err := os.WriteFile(file, data, 0o600); err != nil {
		k.t.Fatalf("write %s: %v", file, err)
	}
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
	sig, err := os.ReadFile(file + ".sig")
	if err != nil {
		k.t.Fatalf("read signature: %v", err)
	}
	return sig
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
