package testhost

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// disk is that of a host: a file system of its own in a file, and over layers that it
// shares with others. So what was not synced can be lost.
type disk struct {
	dir   string
	lower []string // layers, the first above the others
}

func (d disk) file() string   { return filepath.Join(d.dir, "disk") }
func (d disk) system() string { return filepath.Join(d.dir, "system") } // where the file system in the file is mounted
func (d disk) root() string   { return filepath.Join(d.dir, "root") }

// plain is where a folder of the host lies that is not on the overlay.
func (d disk) plain(dir string) string {
	return filepath.Join(d.system(), "plain", strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-"))
}

// size is how many bytes a host could write; the file takes what it did.
const size = 20 << 30

// create makes an empty one, and mounts it.
func (d disk) create() error {
	if err := errors.Join(os.MkdirAll(d.system(), 0o755), os.MkdirAll(d.root(), 0o755), os.WriteFile(d.file(), nil, 0o600), os.Truncate(d.file(), size)); err != nil {
		return err
	}
	if err := command("mkfs.ext4", "-q", "-m0", "-Enodiscard,lazy_itable_init=1,lazy_journal_init=1", d.file()); err != nil {
		return err
	}
	return d.mount()
}

// mount needs no barriers: what is lost with a host's power is decided above them.
func (d disk) mount() error {
	out, err := exec.Command("losetup", "--find", "--show", d.file()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("losetup: %w: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	_ = command("losetup", "--direct-io=on", device) // else all is cached twice, which takes a host that imports images twice as long
	err = command("mount", "-onobarrier,noinit_itable", device, d.system())
	if err := errors.Join(err, command("losetup", "--detach", device)); err != nil { // once it is unmounted
		return err
	}
	upper, work := filepath.Join(d.system(), "upper"), filepath.Join(d.system(), "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	return unix.Mount("overlay", d.root(), "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(d.lower, ":"), upper, work))
}

func (d disk) unmount() error {
	if err := errors.Join(unmount(d.root()), unmount(d.system())); err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // the namespaces of a host end a little after it
		used, err := d.used()
		if err != nil || !used {
			return err
		}
		if time.Since(began) > time.Minute {
			return fmt.Errorf("%s is still in use", d.file())
		}
	}
}

// unmount waits for whom a file there was open a moment ago: a program that is being started has copies of all.
func unmount(path string) error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Unmount(path, 0)
		if !errors.Is(err, unix.EBUSY) || time.Since(began) > 10*time.Second {
			return err
		}
	}
}

// used tells whether a loop device has the file.
func (d disk) used() (bool, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(data)) == d.file() {
			return true, nil
		}
	}
	return false, err
}

func (d disk) sync() error { return command("sync", "--file-system", d.system()) }

// losePower leaves on the disk what was synced, and what the kernel had written by then.
func (d disk) losePower() error {
	// As in ioctl_fs(2) and fs/ext4/ext4.h: FS_IOC_SHUTDOWN, and not even the journal is written.
	const shutdown, noLogFlush = 0x8004587d, 2
	f, err := os.Open(d.system())
	if err != nil {
		return err
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.unmount(); err != nil {
		return err
	}
	return d.mount()
}
