package gitsource

import (
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/hash"

	"github.com/holdfast-fleet/holdfast/durable"
)

// outside lists the objects that deltas of a pack build on by name and that base
// holds: what a thin pack leaves out. They count against the limits like its own.
func (s *scan) outside(base *store, lim limits) ([]plumbing.Hash, error) {
	var missing []plumbing.Hash
	total := s.unpacked
	for h := range s.bases {
		if base == nil || !base.has(h) {
			continue
		}
		n, err := base.size(h)
		if err != nil {
			return nil, err
		}
		if total += n; total > lim.unpacked {
			return nil, fmt.Errorf("pack of more than %d bytes unpacked", lim.unpacked)
		}
		missing = append(missing, h)
	}
	plumbing.HashesSort(missing)
	return missing, nil
}

// complete writes the pack of size bytes with objects of base before its own, one
// in memory at a time, so that it can be read without base. They come first
// because go-git resolves deltas in the order of what they build on.
func (s *scan) complete(ctx context.Context, pack, out *durable.File, added objects) error {
	sum := hash.New(hash.CryptoType)
	w := io.MultiWriter(out, sum)
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), s.count+uint32(len(added.names)))
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("complete thin pack: %w", err)
	}
	for _, h := range added.names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := added.from.writeTo(w, h, added.limit); err != nil {
			return err
		}
	}
	own := io.NewSectionReader(pack, int64(len(head)), s.size-int64(len(head)+sum.Size()))
	if _, err := io.Copy(w, &meteredReader{ctx, own, nil}); err != nil {
		return fmt.Errorf("complete thin pack: %w", err)
	}
	if _, err := out.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("complete thin pack: %w", err)
	}
	return nil
}

// objects are some of a store, each of at most limit bytes.
type objects struct {
	from  *store
	names []plumbing.Hash
	limit int64
}

// writeTo writes one object as an entry of a pack, compressed, not as a delta.
func (s *store) writeTo(w io.Writer, h plumbing.Hash, limit int64) error {
	kind, err := s.kind(h)
	if err != nil {
		return err
	}
	data, err := s.read(h, kind, limit)
	if err != nil {
		return err
	}
	size := uint64(len(data))
	head := []byte{byte(kind)<<4 | byte(size&15)}
	if size >>= 4; size > 0 {
		head[0] |= 0x80
		head = binary.AppendUvarint(head, size)
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("complete thin pack: %w", err)
	}
	z := zlib.NewWriter(w)
	if _, err := z.Write(data); err != nil {
		return fmt.Errorf("complete thin pack: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("complete thin pack: %w", err)
	}
	return nil
}

// errTwice reports objects that were added to a pack that holds them itself, as a delta.
type errTwice struct{ objects []plumbing.Hash }

func (e *errTwice) Error() string {
	return fmt.Sprintf("pack holds %s twice", e.objects[0])
}

// without drops what the error of an attempt says was not missing.
func without(objects []plumbing.Hash, err error) ([]plumbing.Hash, bool) {
	twice := new(errTwice)
	if !errors.As(err, &twice) {
		return nil, false
	}
	return slices.DeleteFunc(objects, func(h plumbing.Hash) bool { return slices.Contains(twice.objects, h) }), true
}
