// Package memo keeps on disk what pure functions returned, by a digest of what
// they were given.
//
// A store is a folder of segments. A segment is written once, under another
// name, and renamed; so any number of processes may share a folder, and whoever
// deletes it, or a part of it, only makes the next run slower. Nothing is synced
// and nothing is believed: a record that does not match its checksum was never there.
package memo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of a store.
const (
	maxValue    = 16 << 20 // bytes of one record
	maxSegments = 8        // more are merged
	maxAdded    = 16 << 20 // bytes that are kept in memory
)

type key [sha256.Size]byte

// Store is what earlier runs kept, and what this one adds. It is safe for
// concurrent use. A nil Store keeps nothing.
type Store struct {
	dir     string
	version string
	limit   int64

	mu       sync.Mutex
	segments []*segment // newest first
	added    map[key][]byte
	size     int // bytes of them
}

// Open opens the store in dir, which is made if missing, for one version of the
// functions: what another version kept is not seen. When the segments have more
// than limit bytes, those used longest ago go first.
func Open(dir, version string, limit int64) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		return nil, fmt.Errorf("open cache %s: %w", dir, err)
	}
	s := &Store{dir: dir, version: version, limit: limit, added: map[key][]byte{}}
	for _, name := range names {
		seg, err := openSegment(name)
		if err != nil {
			continue // torn, foreign, or gone by now
		}
		s.segments = append(s.segments, seg)
	}
	slices.SortFunc(s.segments, func(a, b *segment) int { return b.used.Compare(a.used) })
	return s, nil
}

func (s *Store) key(name string) key {
	return sha256.Sum256([]byte(s.version + "\x00" + name))
}

// Get returns what was kept under a name. The bytes are the caller's.
func (s *Store) Get(name string) ([]byte, bool) {
	if s == nil {
		return nil, false
	}
	k := s.key(name)
	s.mu.Lock()
	value, ok := s.added[k]
	segments := s.segments
	s.mu.Unlock()
	if ok {
		return slices.Clone(value), true
	}
	for _, seg := range segments {
		if value, ok := seg.get(k); ok {
			return value, true
		}
	}
	return nil, false
}

// Put keeps a value under a name; the store may let go of it at any time.
func (s *Store) Put(name string, value []byte) {
	if s == nil || len(value) > maxValue {
		return
	}
	k := s.key(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added[k] = slices.Clone(value)
	if s.size += len(value); s.size > maxAdded {
		_ = s.spill()
	}
}

// spill writes what was added, to go on with an empty memory. What cannot be
// written was not worth keeping.
func (s *Store) spill() error {
	path, err := s.write()
	s.added, s.size = map[key][]byte{}, 0
	if err != nil {
		return err
	}
	seg, err := openSegment(path)
	if err == nil {
		s.segments = append([]*segment{seg}, s.segments...)
	}
	return err
}

// Close writes what is new. A store that cannot be written is an error that
// changes nothing but the speed of the next run. Nothing is kept afterwards.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	err := s.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, seg := range s.segments {
		if seg.read.Load() {
			_ = os.Chtimes(seg.file.Name(), now, now) // who deleted it meanwhile may
		}
		seg.file.Close()
	}
	s.segments = nil
	return err
}

// Flush writes what is new, and lets go of the memory.
func (s *Store) Flush() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.added) == 0 {
		return nil
	}
	s.removeTorn(time.Now())
	merged := s.merge()
	if err := s.spill(); err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted again
		return fmt.Errorf("write cache %s: %w", s.dir, err)
	}
	s.segments = slices.DeleteFunc(s.segments, func(seg *segment) bool { return slices.Contains(merged, seg) })
	return s.remove(merged)
}

// merge takes over the records of the smallest segments when there are too many,
// and returns those and the ones for which there is no room.
func (s *Store) merge() (gone []*segment) {
	var total int64
	for _, value := range s.added {
		total += int64(len(value))
	}
	kept := slices.DeleteFunc(slices.Clone(s.segments), func(seg *segment) bool {
		if total += seg.size; total <= s.limit {
			return false
		}
		gone = append(gone, seg)
		return true
	})
	if len(kept) < maxSegments {
		return gone
	}
	slices.SortFunc(kept, func(a, b *segment) int { return int(a.size - b.size) })
	for _, seg := range kept[:maxSegments/2+1] {
		for k := range seg.index {
			if _, newer := s.added[k]; newer {
				continue
			}
			if value, ok := seg.get(k); ok {
				s.added[k] = value
			}
		}
		gone = append(gone, seg)
	}
	return gone
}

// write writes a segment of what was added, into a folder that may have been deleted meanwhile.
func (s *Store) write() (path string, err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(s.dir, tempPrefix+"*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	name, err := writeSegment(tmp, slices.SortedFunc(maps.Keys(s.added), compareKeys), s.added)
	if err != nil {
		return "", err
	}
	if err := tmp.Close(); err != nil {
		return "", err
	}
	path = filepath.Join(s.dir, name+segmentSuffix)
	return path, os.Rename(tmp.Name(), path)
}

func (s *Store) remove(segments []*segment) error {
	var errs []error
	for _, seg := range segments {
		seg.file.Close()
		if err := os.Remove(seg.file.Name()); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

const tempPrefix = "new-"

// removeTorn removes what a run left that was ended while it wrote.
func (s *Store) removeTorn(now time.Time) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), tempPrefix) && now.Sub(info.ModTime()) > time.Hour {
			os.Remove(filepath.Join(s.dir, e.Name()))
		}
	}
}
