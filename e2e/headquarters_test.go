//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/preflight"
	"github.com/holdfast-fleet/holdfast/e2e/testhost"
)

// headquarters has a clone of the fleet, the key of its people, the Git server
// that hosts pull from, and what is put on the disks of new hosts.
type headquarters struct {
	kit   kit
	dir   string
	repo  string // the project itself
	build string // folder of the built programs
	tree  string // of the hosts
	asked questions

	version string // of the Distribution, as the fleet says it
}

// newHeadquarters makes one in dir, from what is in build.
func newHeadquarters(dir string, k kit, lan *testhost.LAN) (*headquarters, error) {
	repo, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	hq := &headquarters{kit: k, dir: dir, repo: repo, build: filepath.Join(repo, "build"), tree: lan.Tree()}
	return hq, errors.Join(os.MkdirAll(dir, 0o755), hq.open())
}

func (hq *headquarters) fleet() string { return filepath.Join(hq.dir, "fleet") }
func (hq *headquarters) stage() string { return filepath.Join(hq.dir, "stage") } // files of new hosts, from their root
func (hq *headquarters) key() string   { return filepath.Join(hq.dir, "operator") }

func (hq *headquarters) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = hq.dir
	cmd.Env = append(os.Environ(), "HOME="+hq.dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=operator", "GIT_COMMITTER_NAME=operator", "GIT_AUTHOR_EMAIL=operator@example.com", "GIT_COMMITTER_EMAIL=operator@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func (hq *headquarters) holdfast(args ...string) (string, error) {
	return hq.run(filepath.Join(hq.build, "holdfast"), args...)
}

func (hq *headquarters) git(args ...string) (string, error) {
	return hq.run("git", append([]string{"-C", hq.fleet()}, args...)...)
}

// open sets it all up: the example's fleet, on the kit's distribution.
func (hq *headquarters) open() error {
	example, err := filepath.Abs("../fleet-example")
	if err != nil {
		return err
	}
	if err := os.CopyFS(hq.fleet(), os.DirFS(example)); err != nil {
		return err
	}
	for _, step := range []func() error{hq.makeKey, func() error { return hq.chooseDistribution(hq.kit.versions[0]) }, hq.fillStage, hq.lock, hq.serve, hq.publish} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// makeKey makes the operator's key, the only one that is trusted.
func (hq *headquarters) makeKey() error {
	if _, err := hq.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator@example.com", "-f", hq.key()); err != nil {
		return err
	}
	public, err := os.ReadFile(hq.key() + ".pub")
	if err != nil {
		return err
	}
	signers := "operator@example.com namespaces=\"git\" " + string(public)
	const policy = `apiVersion: holdfast.dev/v1alpha1
kind: TrustPolicy
spec:
  mode: commit
  groups: {operators: [operator@example.com]}
  rules: [{paths: ["**"], groups: [operators], threshold: 1}]
`
	return errors.Join(
		hq.write(filepath.Join(hq.stage(), "etc/holdfast/anchor"), signers, 0o600),
		hq.write(filepath.Join(hq.fleet(), "trust/allowed_signers"), signers, 0o644),
		hq.write(filepath.Join(hq.fleet(), "trust/policy.yaml"), policy, 0o644))
}

func (hq *headquarters) write(file, text string, mode os.FileMode) error {
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), mode))
}

func (hq *headquarters) chooseDistribution(version string) error {
	hq.version = version
	for _, profile := range []string{"web-shop", "kiosk"} {
		file := filepath.Join(hq.fleet(), "profiles", profile, "distribution/distribution.yaml")
		text := fmt.Sprintf(`apiVersion: holdfast.dev/v1alpha1
kind: Distribution
metadata:
  name: %s
spec:
  type: %s
  version: %s
%s`, profile, hq.kit.name, version, hq.kit.spec)
		if err := hq.write(file, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// setVersion has the fleet run a version, by a commit.
func (hq *headquarters) setVersion(version string) error {
	return errors.Join(hq.chooseDistribution(version), hq.lock(), hq.commit("Run "+version))
}

// fillStage prepares what an installer puts on a host's disk: the agent, its
// unit and configuration, and content.
func (hq *headquarters) fillStage() error {
	stage := hq.stage()
	for _, dir := range []string{"usr/local/bin", "etc/systemd/system/multi-user.target.wants", "var/lib/holdfast"} {
		if err := os.MkdirAll(filepath.Join(stage, dir), 0o755); err != nil {
			return err
		}
	}
	const config = `apiVersion: holdfast.dev/v1alpha1
kind: AgentConfig
spec:
  anchor: /etc/holdfast/anchor
  interval: 1s
  sources:
  - git: http://headquarters:8080/fleet.git
`
	unit := filepath.Join(stage, "etc/systemd/system/holdfast.service")
	_, err := hq.run("cp", filepath.Join(hq.build, "holdfast"), filepath.Join(stage, "usr/local/bin/"))
	_, err2 := hq.run("cp", filepath.Join(hq.repo, "packaging/holdfast.service"), unit)
	return errors.Join(err, err2, os.Chmod(filepath.Join(stage, "var/lib/holdfast"), 0o700),
		os.Symlink("../holdfast.service", filepath.Join(stage, "etc/systemd/system/multi-user.target.wants/holdfast.service")),
		hq.write(filepath.Join(stage, "etc/holdfast/agent.yaml"), config, 0o600), hq.kit.add(hq),
		preflight.AcceptClock(filepath.Join(stage, "var/lib/holdfast")),
		hq.addContent("--program", "holdfast.dev/example/web:1.0.0", filepath.Join(hq.build, "web")))
}

func (hq *headquarters) store() string { return filepath.Join(hq.stage(), "var/lib/holdfast/content") }

// addContent puts content on the disks of new hosts.
func (hq *headquarters) addContent(args ...string) error {
	_, err := hq.holdfast(append([]string{"content", "add", "--store", hq.store()}, args...)...)
	return err
}

func (hq *headquarters) lock() error {
	_, err := hq.holdfast("lock", "--fleet", hq.fleet(), "--store", hq.store())
	return err
}

// serve answers Git's smart HTTP protocol on the LAN, with Git's own backend, and what a registry does.
func (hq *headquarters) serve() error {
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(testhost.Address, "8080"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", mirror{hq.store()})
	mux.Handle("/", hq.asked.note(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + hq.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}))
	go func() { _ = http.Serve(listener, mux) }() // ends with the namespace
	return nil
}

func (hq *headquarters) publish() error {
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", filepath.Join(hq.dir, "fleet.git")},
		{"init", "-q", "-b", "main", hq.fleet()},
		{"-C", hq.fleet(), "remote", "add", "origin", filepath.Join(hq.dir, "fleet.git")},
	} {
		if _, err := hq.run("git", args...); err != nil {
			return err
		}
	}
	return hq.commit("Begin the fleet")
}

// commit signs all changes of the clone and pushes them.
func (hq *headquarters) commit(message string) error {
	for _, args := range [][]string{
		{"add", "--all"},
		{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + hq.key(), "commit", "-q", "--allow-empty", "-S", "-m", message},
		{"push", "-q", "origin", "HEAD:main"},
	} {
		if _, err := hq.git(args...); err != nil {
			return err
		}
	}
	return nil
}

// head is the newest commit. It is asked for so often that a git(1) each time would be felt.
func (hq *headquarters) head() (string, error) {
	data, err := os.ReadFile(filepath.Join(hq.fleet(), ".git/refs/heads/main"))
	return strings.TrimSpace(string(data)), err
}

// host is what a commit registers.
type host struct{ site, name, key, address, role string }

// register adds a host by the key that it shows. A host of that name gets the new key, as one that was installed again.
func (hq *headquarters) register(h host) error {
	file := filepath.Join(hq.fleet(), h.site, "hosts", h.name+".yaml")
	_, err := os.Stat(file)
	switch {
	case err == nil:
		err = hq.edit(h.site, h.name, `(?m)^  identity: .*$`, "  identity: "+h.key)
	case errors.Is(err, os.ErrNotExist):
		_, err = hq.holdfast("register", "--fleet", hq.fleet(), "--site", h.site, "--host", h.name, "--role", h.role, "--address", h.address, "--key", h.key)
	}
	if err != nil {
		return err
	}
	return hq.commit("Register " + h.name)
}

// list writes the file of a host, as the host itself prints it.
func (hq *headquarters) list(h host) error {
	return hq.write(filepath.Join(hq.fleet(), h.site, "hosts", h.name+".yaml"), fmt.Sprintf(`apiVersion: holdfast.dev/v1alpha1
kind: Host
metadata:
  name: %s
spec:
  identity: %s
  role: %s
  state: active
  network:
    address: %s
`, h.name, h.key, h.role, h.address), 0o644)
}

// remove sets the state of a host.
func (hq *headquarters) remove(site, name string) error {
	return hq.edit(site, name, `(?m)^  state: active$`, "  state: removed")
}

// edit changes lines of a host's file.
func (hq *headquarters) edit(site, name, pattern, text string) error {
	file := filepath.Join(hq.fleet(), site, "hosts", name+".yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, regexp.MustCompile(pattern).ReplaceAll(data, []byte(text)), 0o644)
}
