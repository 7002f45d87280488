package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"

	"github.com/holdfast-fleet/holdfast/durable"
)

// imported tells whether every image was imported into this containerd.
func (n *node) imported() bool {
	if n.ControlPlane || len(n.Images) == 0 {
		return true
	}
	have := n.imports()
	for ref, digest := range n.Images {
		if have[ref] != digest {
			return false
		}
	}
	return true
}

// imports returns what was imported, reference → digest. The record lies among
// containerd's data, so it goes when they go.
func (n *node) imports() map[string]string {
	have := map[string]string{}
	data, err := os.ReadFile(n.importRecord())
	if err != nil || json.Unmarshal(data, &have) != nil {
		return map[string]string{}
	}
	return have
}

func (n *node) importRecord() string { return n.path("data", "containerd", "holdfast-imports.json") }

// importImages waits for containerd and gives it the images that it lacks.
func (n *node) importImages(ctx context.Context) error {
	if err := n.await(ctx, n.containerdAnswers); err != nil {
		return err
	}
	have, missing := n.imports(), map[string]string{}
	for ref, digest := range n.Images {
		if have[ref] != digest {
			missing[ref], have[ref] = digest, digest
		}
	}
	if err := n.feed(ctx, missing); err != nil {
		return fmt.Errorf("import %d images: %w", len(missing), err)
	}
	data, err := json.Marshal(have)
	if err != nil {
		return err
	}
	n.log.Info("images imported", "count", len(missing))
	return durable.WriteFile(n.importRecord(), data, 0o600)
}

func (n *node) containerdAnswers(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", n.containerdSocket())
	if err != nil {
		return err
	}
	return conn.Close()
}

// feed pipes an archive of the images into containerd.
func (n *node) feed(ctx context.Context, images map[string]string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := n.Archive.WriteArchive(w, images)
		if err != nil {
			cancel() // ctr must not take the cut stream for a whole archive
		}
		w.CloseWithError(err)
		written <- err
	}()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, n.Bin+"/ctr", "--address="+n.containerdSocket(), "--namespace=k8s.io",
		"images", "import", "--digests=false", "-")
	cmd.Stdin, cmd.Stderr = r, &stderr
	err := cmd.Run()
	r.CloseWithError(io.ErrClosedPipe)
	if werr := <-written; werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		return werr
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}
