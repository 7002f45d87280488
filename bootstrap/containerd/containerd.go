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
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// Archive writes images as an OCI archive, each under its reference and under
// its repository@digest.
type Archive interface {
	WriteArchive(w io.Writer, images map[string]string) error
}

// Blobs is an [Archive] of which containerd can have blobs as files: an import that sends them copies
// them four times, and takes three times as long.
type Blobs interface {
	Archive
	// Layers lists the large blobs of images, digest → bytes.
	Layers(images map[string]string) (map[string]int64, error)
	// Place has a blob under a path, verified and on disk.
	Place(digest, path string) error
	// WriteArchiveWithout leaves blobs out, digest → bytes.
	WriteArchiveWithout(w io.Writer, images map[string]string, without map[string]int64) error
}

// Runtime is one containerd of this host.
type Runtime struct {
	Client string // path of ctr
	Socket string
	Record string // file that says what was imported, in containerd's root: it goes when its data go
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
	if blobs, ok := archive.(Blobs); !ok || r.placeAndFeed(ctx, blobs, missing) != nil {
		if err := r.feed(ctx, func(w io.Writer) error { return archive.WriteArchive(w, missing) }); err != nil {
			return 0, fmt.Errorf("import %d images: %w", len(missing), err)
		}
	}
	return len(missing), keep(r.Record, missing)
}

// placeAndFeed puts large blobs where containerd keeps them, and imports the rest. Where containerd does
// not take one, or does not keep it, all are sent.
func (r Runtime) placeAndFeed(ctx context.Context, archive Blobs, images map[string]string) error {
	placed, err := archive.Layers(images)
	if err != nil {
		return err
	}
	for digest, size := range placed {
		if err := r.place(ctx, archive, digest, size); err != nil {
			return err
		}
	}
	return r.feed(ctx, func(w io.Writer) error { return archive.WriteArchiveWithout(w, images, placed) })
}

// blobsDir is where containerd keeps blobs, below its root: docs/content-flow.md of containerd.
const blobsDir = "io.containerd.content.v1.content/blobs/sha256"

// place puts a blob there, on disk, and has containerd know it: content that it is given and that is
// there already is not copied (content_sharing_policy, docs/ops.md).
func (r Runtime) place(ctx context.Context, archive Blobs, digest string, size int64) error {
	path := filepath.Join(filepath.Dir(r.Record), blobsDir, strings.TrimPrefix(digest, "sha256:"))
	if err := archive.Place(digest, path); err != nil {
		return err
	}
	blob, err := os.Open(path)
	if err != nil {
		return err
	}
	defer blob.Close()
	return r.ctr(ctx, blob, "content", "ingest", "--expected-digest="+digest, "--expected-size="+strconv.FormatInt(size, 10), "holdfast-"+digest)
}

// ctr runs containerd's client.
func (r Runtime) ctr(ctx context.Context, stdin *os.File, args ...string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, r.Client, append([]string{"--address=" + r.Socket, "--namespace=k8s.io"}, args...)...)
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
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

// feed pipes an archive of images into containerd.
func (r Runtime) feed(ctx context.Context, write func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, to, err := pipe()
	if err != nil {
		return err
	}
	defer from.Close()
	written := make(chan error, 1)
	go func() {
		err := write(to)
		if err != nil {
			cancel() // ctr must not take the cut stream for a whole archive
		}
		written <- err
		to.Close()
	}()
	err = r.ctr(ctx, from, "images", "import", "--digests=false", "--local", "--sync-fs", "-") // what is not local does not wait for the disk
	from.Close()
	if werr := <-written; werr != nil && !errors.Is(werr, unix.EPIPE) {
		return werr
	}
	return err
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
