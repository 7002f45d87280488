package backup

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// List returns the backups of a site that a store has, the oldest first.
func List(ctx context.Context, from Store, site string) ([]Stored, error) {
	all, err := from.List(ctx)
	return of(site, all), err
}

// Peek says what a backup is of. That all of it is there is for [Unpack] to say.
func Peek(r io.Reader, ids ...secrets.Identity) (Manifest, error) {
	plain, err := secrets.Unseal(r, ids...)
	if err != nil {
		return Manifest{}, err
	}
	return readManifest(newArchive(plain))
}

// CheckFile tells whether a file is what its name says and, if there are identities,
// whether it opens and is whole.
func CheckFile(ctx context.Context, path string, ids ...secrets.Identity) error {
	return Check(ctx, &folder{dir: filepath.Dir(path)}, filepath.Base(path), ids...)
}

// Check tells so of what a store has under a name.
func Check(ctx context.Context, from Store, name string, ids ...secrets.Identity) error {
	n, ok := ParseName(name)
	if !ok {
		return &tip{fmt.Errorf("%q is not the name of a backup", name), "keep the name that it was stored under: it has the digest"}
	}
	sum := sha256.New()
	err := from.Get(ctx, name, sum)
	if err == nil {
		err = n.holds(sum)
	}
	if err != nil || len(ids) == 0 {
		return err
	}
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		m, err := Unpack(durable.Disk{}, out, "", ids...)
		if err == nil && m.Site != n.Site {
			err = fmt.Errorf("%w: it is of site %s", errNotWhole, m.Site)
		}
		out.CloseWithError(err)
		done <- err
	}()
	err = from.Get(ctx, name, in)
	in.CloseWithError(err)
	if opened := <-done; opened != nil {
		return fmt.Errorf("open %s: %w", name, opened)
	}
	return err
}

// holds tells whether a digest is the one of the name.
func (n Name) holds(sum hash.Hash) error {
	if got := digestOf(sum); got != n.Digest {
		return fmt.Errorf("%s is damaged: what is in it has the digest %s…: %w", n, got, errNotWhole)
	}
	return nil
}

// checkAs tells whether a file is what a name says, under whatever name it is.
func checkAs(ctx context.Context, path string, name Name) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, reading{ctx, f}); err != nil {
		return err
	}
	return name.holds(sum)
}
