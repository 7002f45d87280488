//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-fleet/holdfast/e2e/testhost"
)

// backups is headquarters' server of SFTP, and the key that opens what is sent there.
func (hq *headquarters) backups() string  { return filepath.Join(hq.dir, "backups") }
func (hq *headquarters) recovery() string { return filepath.Join(hq.dir, "recovery") }

// serveSFTP runs a real sshd, which nobody may log in to yet.
func (hq *headquarters) serveSFTP() (stop func(), err error) {
	server := filepath.Join(hq.dir, "sshd")
	for _, key := range []string{server, hq.recovery()} {
		if _, err := hq.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key); err != nil {
			return nil, err
		}
	}
	public, err := os.ReadFile(server + ".pub")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("Port 2222\nListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nSubsystem sftp internal-sftp\n"+
		"StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n", testhost.Address, server, server+".authorized")
	err = errors.Join(os.MkdirAll("/run/sshd", 0o755), os.Mkdir(hq.backups(), 0o700),
		hq.write(server+".authorized", "", 0o600), hq.write(server+".config", config, 0o600),
		hq.write(filepath.Join(hq.fleet(), "bases/backup/known_hosts"), fmt.Sprintf("[headquarters]:2222 %s", public), 0o644))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", server+".config")
	cmd.Stderr = os.Stderr
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, cmd.Start()
}

// letIn lets a host log in with the key that it is registered by.
func (hq *headquarters) letIn(key string) error {
	f, err := os.OpenFile(filepath.Join(hq.dir, "sshd.authorized"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(key + "\n")
	return errors.Join(err, f.Close())
}

// planBackups has a site backed up to headquarters.
func (hq *headquarters) planBackups(site string) error {
	recipient, err := os.ReadFile(hq.recovery() + ".pub")
	if err != nil {
		return err
	}
	file := filepath.Join(hq.fleet(), site, "site.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	plan := fmt.Sprintf(`spec:
  backup:
    every: 6h
    keep: 3
    recipients: ["%s"]
    to:
    - sftp: sftp://root@headquarters:2222%s
      knownHostsFile: bases/backup/known_hosts
`, strings.TrimSpace(string(recipient)), hq.backups())
	return os.WriteFile(file, []byte(strings.Replace(string(data), "spec:\n", plan, 1)), 0o644)
}

// backedUp SITE HOST has the site of a host backed up to headquarters, which lets that host in.
func (s *story) backedUp(ts *testscript.TestScript, _ bool, args []string) {
	stop, err := s.hq.serveSFTP()
	ts.Check(err)
	ts.Defer(stop)
	s.letIn(ts, false, args[1:])
	ts.Check(s.hq.planBackups(args[0]))
	ts.Check(s.hq.commit("Back " + args[0] + " up"))
}

// letin HOST lets a host log in to headquarters' server of backups.
func (s *story) letIn(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	key, err := s.host(ts, args).Eventually(ctx, "cat", "/var/lib/holdfast/identity/host_key.pub")
	ts.Check(err)
	ts.Check(s.hq.letIn(strings.TrimSpace(key)))
}

// bring puts the newest backup, and the key that opens it, on the disks of new hosts.
func (s *story) bring(ts *testscript.TestScript, _ bool, _ []string) {
	found, err := filepath.Glob(filepath.Join(s.hq.backups(), "*.age"))
	ts.Check(err)
	if len(found) == 0 {
		ts.Fatalf("headquarters has no backup")
	}
	slices.Sort(found)
	root := filepath.Join(s.hq.stage(), "root")
	ts.Check(os.MkdirAll(root, 0o700))
	for _, file := range []string{found[len(found)-1], s.hq.recovery()} {
		_, err := s.hq.run("cp", file, root+"/")
		ts.Check(err)
	}
}
