package testhost

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const suite = "bookworm"

// packages are what a host has besides Debian's essential ones: an init, a
// network, and the tools that kubeadm's pre-flight checks ask for.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "udev", "kmod", "procps", "mount", "util-linux",
	"iproute2", "nftables", "iptables", "ethtool", "conntrack", "socat", "ca-certificates", "curl",
}

// makeTree makes a small Debian installation below cache and returns its folder.
// One that is there already, of the same packages, is returned at once.
func makeTree(cache string) (string, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(suite + " " + strings.Join(packages, ",")))
	tree := filepath.Join(cache, "debian-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	making, err := os.MkdirTemp(cache, ".making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making)
	root := filepath.Join(making, "root")
	out, err := exec.Command("mmdebstrap", "--quiet", "--variant=minbase",
		"--include="+strings.Join(packages, ","), suite, root).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make a Debian tree for test hosts: %w\n%s", err, out)
	}
	if err := prepare(root); err != nil {
		return "", err
	}
	if err := os.Rename(root, tree); err != nil && !os.IsExist(err) {
		return "", err
	}
	return tree, nil
}

// prepare takes out of the tree what is of one machine alone, and what would
// wait for hardware that a test host does not have.
func prepare(root string) error {
	for _, unit := range []string{"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-timesyncd.service", "systemd-resolved.service",
		"systemd-networkd.service", "getty.target", "console-getty.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"} {
		link := filepath.Join(root, "etc/systemd/system", unit)
		if err := os.Symlink("/dev/null", link); err != nil && !os.IsExist(err) {
			return err
		}
	}
	for file, text := range map[string]string{
		"etc/machine-id":  "",
		"etc/resolv.conf": "# Nothing listens there: names that are not in /etc/hosts fail at once.\nnameserver " + Address + "\n",
	} {
		path := filepath.Join(root, file)
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
