package gitsource

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/holdfast-fleet/holdfast/durable"
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
	base        *store // what it was checked against, or nil
	pack, index string // files
	types       map[plumbing.Hash]plumbing.ObjectType
	order       []plumbing.Hash        // as in the pack
	outside     map[plumbing.Hash]bool // referred to, and known to be in base
}

// discard removes what was not published.
func (s *staged) discard() {
	if s != nil {
		s.store.close()
		_ = s.store.disk.RemoveAll(s.store.dir) // if this fails, the next start does it
	}
}

// stage reads exactly one pack from src into a new folder below dir, and checks
// that every object in it is what its name says, that every object it refers to
// is in it or in base (nil: in it alone), and that it keeps to the limits. What a
// thin pack builds on is added to it from base.
func stage(ctx context.Context, dir string, src io.Reader, base *store, lim limits) (_ *staged, err error) {
	var disk durable.Disk
	if base != nil {
		disk = base.disk
	}
	tmp, err := disk.MkdirTemp(dir, stagingPrefix)
	if err != nil {
		return nil, fmt.Errorf("stage pack: %w", err)
	}
	defer func() {
		if err != nil {
			_ = disk.RemoveAll(tmp) // if this fails too, the next start does it
		}
	}()
	st, err := openStore(disk, tmp)
	if err != nil {
		return nil, err
	}
	s := &staged{store: st, base: base, types: make(map[plumbing.Hash]plumbing.ObjectType), outside: make(map[plumbing.Hash]bool)}
	if err := s.receive(ctx, src, base, lim); err != nil {
		st.close()
		return nil, err
	}
	if err := s.checkClosed(ctx, base); err != nil {
		st.close()
		return nil, err
	}
	return s, nil
}

func (s *staged) receive(ctx context.Context, src io.Reader, base *store, lim limits) (err error) {
	// go-git panics on some malformed packs.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corrupt pack: %v", p)
		}
	}()
	dir := filepath.Join(s.store.dir, "objects", "pack")
	file, err := s.store.disk.Create(filepath.Join(dir, "incoming"))
	if err != nil {
		return fmt.Errorf("stage pack: %w", err)
	}
	defer file.Close()
	n, err := io.Copy(file, &meteredReader{ctx, io.LimitReader(src, lim.pack+1), newMeter(ctx, "receiving", true, 0)})
	if err != nil {
		return fmt.Errorf("receive pack: %w", err)
	}
	if n > lim.pack {
		return fmt.Errorf("pack is larger than %d bytes", lim.pack)
	}
	scan, err := scanPack(ctx, file, n, lim)
	if err != nil {
		return err
	}
	outside, err := scan.outside(base, lim)
	if err != nil {
		return err
	}
	if len(outside) == 0 {
		return s.indexPack(ctx, file, nil)
	}
	for {
		err := s.indexThin(ctx, file, scan, objects{base, outside, lim.object})
		fewer, twice := without(outside, err)
		if !twice {
			return err
		}
		outside = fewer
	}
}

// indexThin indexes a thin pack that is given what it builds on.
func (s *staged) indexThin(ctx context.Context, pack *durable.File, scan *scan, added objects) error {
	file, err := s.store.disk.Create(filepath.Join(filepath.Dir(pack.Name()), "complete"))
	if err != nil {
		return fmt.Errorf("complete thin pack: %w", err)
	}
	defer file.Close()
	if err := scan.complete(ctx, pack, file, added); err != nil {
		return err
	}
	s.types, s.order = make(map[plumbing.Hash]plumbing.ObjectType), nil
	return s.indexPack(ctx, file, added.names)
}

// indexPack resolves deltas, names every object, and leaves pack-<checksum>.{pack,idx}.
// The error is an errTwice if some of appended were in the pack already.
func (s *staged) indexPack(ctx context.Context, file *durable.File, appended []plumbing.Hash) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	writer, observer := new(idxfile.Writer), &packObserver{ctx: ctx, staged: s}
	parser, err := packfile.NewParser(packfile.NewScanner(file), writer, observer)
	if err != nil {
		return packError(err)
	}
	sum, err := parser.Parse()
	if err != nil {
		return packError(err)
	}
	twice := slices.DeleteFunc(observer.twice, func(h plumbing.Hash) bool { return !slices.Contains(appended, h) })
	if len(twice) > 0 {
		return &errTwice{twice}
	}
	index, err := writer.Index()
	if err != nil {
		return packError(err)
	}
	name := filepath.Join(filepath.Dir(file.Name()), "pack-"+sum.String())
	s.pack, s.index = name+".pack", name+".idx"
	out, err := s.store.disk.Create(s.index)
	if err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	defer out.Close()
	buffered := bufio.NewWriterSize(out, 64<<10)
	if _, err := idxfile.NewEncoder(buffered).Encode(index); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	if err := s.store.disk.Rename(file.Name(), s.pack); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	return nil
}

func packError(err error) error {
	ended := strings.HasSuffix(err.Error(), ": EOF") || strings.HasSuffix(err.Error(), ": unexpected EOF") // go-git does not wrap what zlib says
	switch {
	case ended, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, packfile.ErrEmptyPackfile):
		return errors.New("pack is truncated")
	case errors.Is(err, packfile.ErrReferenceDeltaNotFound):
		return errors.New("pack builds on objects that are missing")
	}
	return fmt.Errorf("corrupt pack: %w", err)
}

// packObserver notes the type of each object while go-git indexes a pack.
type packObserver struct {
	ctx     context.Context
	staged  *staged
	meter   *meter
	current plumbing.ObjectType
	twice   []plumbing.Hash
}

func (o *packObserver) OnHeader(count uint32) error {
	o.meter = newMeter(o.ctx, "indexing", false, int64(count))
	return nil
}

func (o *packObserver) OnInflatedObjectHeader(t plumbing.ObjectType, _, _ int64) error {
	o.current = t
	return o.ctx.Err()
}

func (o *packObserver) OnInflatedObjectContent(h plumbing.Hash, _ int64, _ uint32, _ []byte) error {
	if o.current.IsDelta() {
		return fmt.Errorf("object %s has no type", h)
	}
	if _, known := o.staged.types[h]; known {
		o.twice = append(o.twice, h)
	}
	o.meter.add(1)
	o.staged.types[h] = o.current
	o.staged.order = append(o.staged.order, h)
	return nil
}

func (o *packObserver) OnFooter(plumbing.Hash) error { return nil }
