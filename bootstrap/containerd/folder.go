package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// Folder is watched by a distribution that brings a containerd of its own: what
// archives of images are put there, it imports.
type Folder struct {
	Path   string
	List   func(ctx context.Context) (string, error) // names of the images that its containerd has, among other words
	Record string                                    // as of a [Runtime]
}

// DropIn is a file of configuration, of version 3, for a containerd that a distribution brings along: what it unpacks
// is on disk before it takes it for unpacked, as with a [Runtime] (sync_fs, plugins/services/diff/local.go of containerd 2).
const DropIn = `# Written by Holdfast.
version = 3

[plugins."io.containerd.service.v1.diff-service"]
sync_fs = true
`

// layers is the archive of what the layers need. It is there only until it was imported.
const layers = "holdfast-layers.tar"

// Has tells whether every image, reference → digest, was imported.
func (f Folder) Has(images map[string]string) bool {
	return len(imports(f.Record).missing(images)) == 0
}

// Import gives the distribution's containerd the images that it lacks, and
// returns how many those were, once it has them.
func (f Folder) Import(ctx context.Context, archive Archive, images map[string]string) (int, error) {
	missing := imports(f.Record).missing(images)
	if len(missing) == 0 {
		return 0, nil
	}
	path := filepath.Join(f.Path, layers)
	err := system.Place(path, func(w io.Writer) error { return archive.WriteArchive(w, missing) })
	if err != nil {
		return 0, fmt.Errorf("import %d images: %w", len(missing), err)
	}
	if err := f.await(ctx, missing); err != nil {
		return 0, fmt.Errorf("import %d images by %s: %w", len(missing), path, err)
	}
	if err := keep(f.Record, missing); err != nil {
		return 0, err
	}
	return len(missing), os.Remove(path)
}

// await returns when containerd has all of the images.
func (f Folder) await(ctx context.Context, images map[string]string) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		names, err := f.List(ctx)
		if err == nil {
			err = lacking(names, images)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// lacking names the first image that is not among the words of a list.
func lacking(list string, images map[string]string) error {
	have := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		have[word] = true
	}
	for _, ref := range slices.Sorted(maps.Keys(images)) {
		if name := repository(ref) + "@" + images[ref]; !have[name] {
			return fmt.Errorf("containerd has no %s yet", name)
		}
	}
	return nil
}

// repository is a reference without its tag and digest.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		return ref[:colon]
	}
	return ref
}
