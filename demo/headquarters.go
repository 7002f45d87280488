package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Headquarters has the people's keys, a clone of the fleet to work in, and the
// Git server that hosts pull from.
type headquarters struct {
	dir    string // keys and settings
	fleet  string // the clone
	remote string // the bare repository that is served
	server *http.Server
	url    string
	env    []string
}

// A signer is somebody who signs commits, with GnuPG or with an SSH key.
type signer struct {
	email  string
	format string // "openpgp" or "ssh"
	key    string // fingerprint, or file
}

func newHeadquarters(dir string) (*headquarters, error) {
	hq := &headquarters{dir: dir, fleet: filepath.Join(dir, "fleet"), remote: filepath.Join(dir, "fleet.git")}
	gnupg := filepath.Join(dir, "gnupg")
	if err := os.MkdirAll(gnupg, 0o700); err != nil {
		return nil, err
	}
	hq.env = append(os.Environ(),
		"GNUPGHOME="+gnupg, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=demo", "GIT_COMMITTER_NAME=demo", "HOME="+dir)
	return hq, nil
}

func (hq *headquarters) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = hq.env, hq.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (hq *headquarters) git(ctx context.Context, args ...string) (string, error) {
	return hq.run(ctx, "git", append([]string{"-C", hq.fleet}, args...)...)
}

// openPGPSigner makes a GnuPG key and returns its public part, armored.
func (hq *headquarters) openPGPSigner(ctx context.Context, email string) (signer, string, error) {
	_, err := hq.run(ctx, "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", email, "ed25519", "sign", "1y")
	if err != nil {
		return signer{}, "", err
	}
	public, err := hq.run(ctx, "gpg", "--batch", "--armor", "--export", email)
	return signer{email: email, format: "openpgp", key: email}, public + "\n", err
}

// sshSigner makes an SSH key and returns its line for allowed_signers.
func (hq *headquarters) sshSigner(ctx context.Context, email string) (signer, string, error) {
	file := filepath.Join(hq.dir, email)
	if _, err := hq.run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", email, "-f", file); err != nil {
		return signer{}, "", err
	}
	public, err := os.ReadFile(file + ".pub")
	return signer{email: email, format: "ssh", key: file}, email + ` namespaces="git" ` + string(public), err
}

// commit records all changes of the clone, signed by who; nobody if it is empty.
func (hq *headquarters) commit(ctx context.Context, who signer, message string, more ...string) (string, error) {
	if _, err := hq.git(ctx, "add", "--all"); err != nil {
		return "", err
	}
	args := []string{"-c", "user.email=" + who.email, "-c", "gpg.format=" + who.format, "-c", "user.signingkey=" + who.key, "commit", "-q", "-m", message, "-S"}
	if who.key == "" {
		args = []string{"-c", "user.email=nobody@example.com", "commit", "-q", "-m", message, "--no-gpg-sign"}
	}
	if _, err := hq.git(ctx, append(args, more...)...); err != nil {
		return "", err
	}
	return hq.git(ctx, "rev-parse", "HEAD")
}

func (hq *headquarters) push(ctx context.Context) error {
	_, err := hq.git(ctx, "push", "-q", "--force", "origin", "HEAD:main")
	return err
}

// publish creates the clone's repository and the one that is served.
func (hq *headquarters) publish(ctx context.Context, who signer) (string, error) {
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", hq.remote},
		{"-C", hq.remote, "config", "http.receivepack", "true"},
		{"init", "-q", "-b", "main", hq.fleet},
		{"-C", hq.fleet, "remote", "add", "origin", hq.url},
	} {
		if _, err := hq.run(ctx, "git", args...); err != nil {
			return "", err
		}
	}
	commit, err := hq.commit(ctx, who, "Begin the fleet")
	if err != nil {
		return "", err
	}
	return commit, hq.push(ctx)
}

// serve answers Git's smart HTTP protocol on loopback, with Git's own backend.
func (hq *headquarters) serve() error {
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	hq.url = "http://" + listener.Addr().String() + "/fleet.git"
	hq.server = &http.Server{Handler: &cgi.Handler{ //nolint:gosec // loopback, in a network namespace of its own
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + hq.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}}
	go func() { _ = hq.server.Serve(listener) }()
	return nil
}

// edit replaces text in a file of the clone; it must be there.
func (hq *headquarters) edit(file, old, replacement string) error {
	path := filepath.Join(hq.fleet, file)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), old) {
		return fmt.Errorf("%s does not hold %q", file, old)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), old, replacement, 1)), 0o644)
}
