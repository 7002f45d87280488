// Package containerd gives a containerd the images of a host's content, with
// no registry: through its own client, ctr.
package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// Archive writes images as an OCI archive, each under its reference and under
// its repository@digest.
type Archive interface {
	WriteArchive(w io.Writer, images map[string]string) error
}

// Runtime is one containerd of this host.
type Runtime struct {
	Client string // path of ctr
	Socket string
	Record string // file that says what was imported; it lies among containerd's data, so it goes when they go
}

// Has tells whether every image, reference → digest, was imported.
func (r Runtime) Has(images map[string]string) bool {
	return len(imports(r.Record).missing(images)) == 0
}

// Import gives containerd the images that it lacks, and returns how many those were. What
// it has unpacked is on disk before it takes it for unpacked, for it never looks again.
func (r Runtime) Import(ctx context.Context, archive Archive, images map[string]string) (int, error) {
	missing := imports(r.Record).missing(images)
	if len(missing) == 0 {
		return 0, nil
	}
	if err := r.feed(ctx, archive, missing); err != nil {
		return 0, fmt.Errorf("import %d images: %w", len(missing), err)
	}
	return len(missing), keep(r.Record, missing)
}

// keep puts images on disk that were imported, and has them count as such.
func keep(record string, images map[string]string) error {
	if err := system.Sync(filepath.Dir(record)); err != nil {
		return err
	}
	return imports(record).add(images)
}

// Answers tells whether containerd listens.
func (r Runtime) Answers(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", r.Socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// feed pipes an archive of the images into containerd.
func (r Runtime) feed(ctx context.Context, archive Archive, images map[string]string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, to, err := pipe()
	if err != nil {
		return err
	}
	defer from.Close()
	written := make(chan error, 1)
	go func() {
		err := archive.WriteArchive(to, images)
		if err != nil {
			cancel() // ctr must not take the cut stream for a whole archive
		}
		written <- err
		to.Close()
	}()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, r.Client, "--address="+r.Socket, "--namespace=k8s.io", "images", "import",
		"--digests=false", "--local", "--sync-fs", "-") // what is not local does not wait for the disk
	cmd.Stdin, cmd.Stderr = from, &stderr
	err = cmd.Run()
	from.Close()
	if werr := <-written; werr != nil && !errors.Is(werr, unix.EPIPE) {
		return werr
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// pipe is one that has room for a megabyte: the fewer turns the two ends take, the faster it is.
func pipe() (from, to *os.File, err error) {
	if from, to, err = os.Pipe(); err != nil {
		return nil, nil, err
	}
	if raw, err := to.SyscallConn(); err == nil { // else it is slower
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
	}
	return from, to, nil
}
