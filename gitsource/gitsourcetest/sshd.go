package gitsourcetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
)

// SSHD is a real sshd on loopback, for the user who runs the test.
type SSHD struct {
	URL        string // ssh://user@host:port, without a path
	KnownHosts string // file with its key

	address string
}

// NewSSHD runs an sshd until the test ends, which lets in who has one of the
// keys, each a line of authorized_keys.
func NewSSHD(t T, authorized string) *SSHD {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatalf("find the current user: %v", err)
	}
	dir := t.TempDir()
	hostKey := NewSSHKey(t, "sshd", "ed25519")
	public, err := os.ReadFile(hostKey.PrivateFile() + ".pub")
	if err != nil {
		t.Fatalf("read host key: %v", err)
	}
	port := freePort(t)
	d := &SSHD{
		URL:        fmt.Sprintf("ssh://%s@127.0.0.1:%d", who.Username, port),
		KnownHosts: filepath.Join(dir, "known_hosts"),
		address:    fmt.Sprintf("127.0.0.1:%d", port),
	}
	for name, content := range map[string]string{
		"known_hosts":     fmt.Sprintf("[127.0.0.1]:%d %s", port, public),
		"authorized_keys": authorized,
		"sshd_config": fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\n"+
			"Subsystem sftp internal-sftp\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"+
			"SetEnv SHLVL=1\n", // so bash reads no ~/.bashrc, which may say and do anything
			port, hostKey.PrivateFile(), filepath.Join(dir, "authorized_keys")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatalf("write %s: %v", name, err)
		}
	}
	if os.Geteuid() == 0 { // where sshd separates privileges; made at boot elsewhere
		if err := os.Mkdir("/run/sshd", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatalf("make /run/sshd: %v", err)
		}
	}
	daemon(t, d.address, exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "sshd_config")))
	return d
}
