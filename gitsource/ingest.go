package gitsource

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// limits bound what one pack may cost.
type limits struct {
	pack     int64  // bytes
	object   int64  // bytes of one object, unpacked
	unpacked int64  // bytes of all objects, unpacked
	objects  uint32 // number
}

func defaultLimits() limits {
	return limits{pack: 1 << 30, object: 64 << 20, unpacked: 8 << 30, objects: 4 << 20}
}

// staged is a pack in a repository of its own, checked but not published.
type staged struct {
	store       *store
	pack, index string // files
	types       map[plumbing.Hash]plumbing.ObjectType
	order       []plumbing.Hash        // as in the pack
	outside     map[plumbing.Hash]bool // referred to, and known to be in base
}

// discard removes what was not published.
func (s *staged) discard() {
	if s != nil {
		s.store.close()
		os.RemoveAll(s.store.dir)
	}
}

// stage reads exactly one pack from src into a new folder below dir, and checks
// that every object in it is what its name says, that every object it refers to
// is in it or in base (nil: in it alone), and that it keeps to the limits.
func stage(ctx context.Context, dir string, src io.Reader, base *store, lim limits) (_ *staged, err error) {
	tmp, err := os.MkdirTemp(dir, stagingPrefix)
	if err != nil {
		return nil, fmt.Errorf("stage pack: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
		}
	}()
	st, err := openStore(tmp)
	if err != nil {
		return nil, err
	}
	s := &staged{store: st, types: make(map[plumbing.Hash]plumbing.ObjectType), outside: make(map[plumbing.Hash]bool)}
	if err := s.receive(ctx, src, lim); err != nil {
		return nil, err
	}
	if err := s.checkClosed(ctx, base); err != nil {
		st.close()
		return nil, err
	}
	return s, nil
}

func (s *staged) receive(ctx context.Context, src io.Reader, lim limits) (err error) {
	// go-git panics on some malformed packs.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corrupt pack: %v", p)
		}
	}()
	dir := filepath.Join(s.store.dir, "objects", "pack")
	file, err := os.Create(filepath.Join(dir, "incoming"))
	if err != nil {
		return fmt.Errorf("stage pack: %w", err)
	}
	defer file.Close()
	n, err := io.Copy(file, &contextReader{ctx, io.LimitReader(src, lim.pack+1)})
	if err != nil {
		return fmt.Errorf("receive pack: %w", err)
	}
	if n > lim.pack {
		return fmt.Errorf("pack is larger than %d bytes", lim.pack)
	}
	if err := scanPack(ctx, file, n, lim); err != nil {
		return err
	}
	return s.indexPack(ctx, file, dir)
}

// scanPack goes through a pack without keeping anything, before go-git does,
// which trusts the sizes that a pack declares.
func scanPack(ctx context.Context, file *os.File, size int64, lim limits) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("scan pack: %w", err)
	}
	scanner := packfile.NewScanner(file)
	_, count, err := scanner.Header()
	if err != nil {
		return packError(err)
	}
	if count > lim.objects {
		return fmt.Errorf("pack of %d objects, at most %d are allowed", count, lim.objects)
	}
	var total int64
	for range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := scanObject(scanner, lim)
		if err != nil {
			return err
		}
		if total += n; total > lim.unpacked {
			return fmt.Errorf("pack of more than %d bytes unpacked", lim.unpacked)
		}
	}
	if _, err := scanner.Checksum(); err != nil {
		return packError(err)
	}
	// The scanner reads ahead, so its own position tells where the pack ends.
	end, err := scanner.SeekFromStart(0)
	if err != nil {
		return packError(err)
	}
	if end != size {
		return fmt.Errorf("%d bytes follow the pack", size-end)
	}
	return nil
}

// scanObject returns the size of the next object, unpacked and with deltas applied.
func scanObject(scanner *packfile.Scanner, lim limits) (int64, error) {
	header, err := scanner.NextObjectHeader()
	if err != nil {
		return 0, packError(err)
	}
	if header.Length > lim.object {
		return 0, fmt.Errorf("object of %d bytes, at most %d are allowed", header.Length, lim.object)
	}
	head := &prefixWriter{limit: 2 * binary.MaxVarintLen64}
	n, _, err := scanner.NextObject(head)
	if err != nil {
		return 0, packError(err)
	}
	if n != header.Length {
		return 0, errors.New("corrupt pack: object shorter than declared")
	}
	if !header.Type.IsDelta() {
		return n, nil
	}
	r := bytes.NewReader(head.data)
	if _, err := binary.ReadUvarint(r); err != nil {
		return 0, errors.New("corrupt pack: malformed delta")
	}
	result, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, errors.New("corrupt pack: malformed delta")
	}
	if result > uint64(lim.object) {
		return 0, fmt.Errorf("object of %d bytes, at most %d are allowed", result, lim.object)
	}
	return int64(result), nil
}

// indexPack resolves deltas, names every object, and leaves pack-<checksum>.{pack,idx}.
func (s *staged) indexPack(ctx context.Context, file *os.File, dir string) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	writer := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(file), writer, &packObserver{ctx: ctx, staged: s})
	if err != nil {
		return packError(err)
	}
	sum, err := parser.Parse()
	if err != nil {
		return packError(err)
	}
	index, err := writer.Index()
	if err != nil {
		return packError(err)
	}
	name := filepath.Join(dir, "pack-"+sum.String())
	s.pack, s.index = name+".pack", name+".idx"
	out, err := os.Create(s.index)
	if err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	defer out.Close()
	if _, err := idxfile.NewEncoder(out).Encode(index); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	if err := os.Rename(file.Name(), s.pack); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	return nil
}

func packError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, packfile.ErrEmptyPackfile):
		return errors.New("pack is truncated")
	case errors.Is(err, packfile.ErrReferenceDeltaNotFound):
		return errors.New("pack builds on objects that it does not hold (a thin pack), which is not supported")
	}
	return fmt.Errorf("corrupt pack: %w", err)
}

// packObserver notes the type of each object while go-git indexes a pack.
type packObserver struct {
	ctx     context.Context
	staged  *staged
	current plumbing.ObjectType
}

func (o *packObserver) OnHeader(uint32) error { return nil }

func (o *packObserver) OnInflatedObjectHeader(t plumbing.ObjectType, _, _ int64) error {
	o.current = t
	return o.ctx.Err()
}

func (o *packObserver) OnInflatedObjectContent(h plumbing.Hash, _ int64, _ uint32, _ []byte) error {
	if o.current.IsDelta() {
		return fmt.Errorf("object %s has no type", h)
	}
	o.staged.types[h] = o.current
	o.staged.order = append(o.staged.order, h)
	return nil
}

func (o *packObserver) OnFooter(plumbing.Hash) error { return nil }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// prefixWriter keeps the first bytes written to it.
type prefixWriter struct {
	data  []byte
	limit int
}

func (w *prefixWriter) Write(p []byte) (int, error) {
	if room := w.limit - len(w.data); room > 0 {
		w.data = append(w.data, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
