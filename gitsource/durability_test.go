package gitsource_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/durable/durabletest"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// step is what a host does while the power may be cut: it takes the bundles of a
// stick, from the state that it has.
type step struct {
	name   string
	base   string   // its state before, synced; may be an empty folder
	old    []string // what its floor may be meanwhile; "" is none
	next   string   // its floor after
	stick  string
	anchor *trust.Keyring
	packs  int // of the mirror, before it is packed anew; 0: many
}

func (s step) options(root string) gitsource.Options {
	second := filepath.Join(root, "second")
	return gitsource.Options{
		Dir: filepath.Join(root, "state"), Second: second, BundleDirs: []string{s.stick}, Anchor: s.anchor,
	}
}

func steps(t *testing.T) []step {
	t.Helper()
	f := newFleet(t)
	f.commit(longFile(0))
	o, stick := stick(t, f)
	f.Bundle(filepath.Join(stick, "base.bundle"))
	empty, full := t.TempDir(), t.TempDir()
	for _, dir := range []string{empty, full} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, "second"), 0o700))
	}
	first := step{name: "first contact", base: empty, old: []string{""}, next: f.Head(), stick: stick, anchor: o.Anchor}
	r, err := gitsource.Open(first.options(full))
	require.NoError(t, err)
	require.Equal(t, f.Head(), poll(t, r).Commit())
	require.NoError(t, r.Close())

	more := filepath.Join(t.TempDir(), "stick")
	require.NoError(t, os.Mkdir(more, 0o700))
	old := f.Head()
	f.commit(longFile(1))
	f.Tag(gitsourcetest.Tag{Name: gitsource.HeartbeatTag, On: "main", By: f.alice})
	f.Bundle(filepath.Join(more, "b.bundle"), old+"..main", gitsource.HeartbeatTag)
	middle := f.Head()
	f.commit(longFile(2))
	f.Bundle(filepath.Join(more, "a.bundle"), "main^..main")
	increments := step{name: "thin increments", base: full, old: []string{old, middle}, next: f.Head(), stick: more, anchor: o.Anchor}

	grown := step{name: "a mirror that has grown", base: t.TempDir(), old: []string{f.Head()}, stick: t.TempDir(), anchor: o.Anchor, packs: 2}
	require.NoError(t, os.CopyFS(grown.base, os.DirFS(full)))
	got, err := increments.take(increments.options(grown.base))
	require.NoError(t, err)
	require.Equal(t, f.Head(), got)
	f.commit(longFile(3))
	f.Bundle(filepath.Join(grown.stick, "c.bundle"), "main^..main")
	grown.next = f.Head()
	return []step{first, increments, grown}
}

// take opens the state and takes what the stick has; it returns the floor.
func (s step) take(o gitsource.Options) (string, error) {
	r, err := gitsource.Open(o)
	if err != nil {
		return "", err
	}
	defer r.Close()
	if s.packs > 0 {
		r.KeepAtMost(s.packs)
	}
	fetched := r.Fetch(context.Background())
	rev, err := r.Verify(context.Background())
	return rev.Commit(), errors.Join(fetched, err)
}

// recovered restarts on what is in root: first without any source, where the host
// must know what it knew and be able to read it, then with the stick.
func (s step) recovered(root string) error {
	o := s.options(root)
	o.BundleDirs = nil
	r, err := gitsource.Open(o)
	if err != nil {
		return err
	}
	rev, found, err := r.Floor()
	if err == nil && found {
		err = fs.WalkDir(rev.FS(), ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, err = fs.ReadFile(rev.FS(), path)
			}
			return err
		})
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("without a source: %w", err)
	}
	if !slices.Contains(append(s.old, s.next), rev.Commit()) {
		return fmt.Errorf("without a source the floor is %q", rev.Commit())
	}
	got, err := s.take(s.options(root))
	if errors.Is(err, gitsource.ErrOlder) {
		err = nil // of the two bundles, one has served
	}
	if err != nil || got != s.next {
		return fmt.Errorf("with the stick the floor is %q: %w", got, err)
	}
	left, err := filepath.Glob(filepath.Join(o.Dir, "staging-*"))
	if err != nil || len(left) > 0 {
		return fmt.Errorf("left over: %v: %w", left, err)
	}
	return nil
}

func TestAPowerCutAtAnyPointIsRecovered(t *testing.T) {
	t.Parallel()
	for _, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			require.NoError(t, os.CopyFS(root, os.DirFS(s.base)))
			journal := durabletest.NewJournal(root)
			o := s.options(root)
			o.Disk = journal.Disk()
			got, err := s.take(o)
			require.NoError(t, err)
			require.Equal(t, s.next, got)
			if s.packs > 0 {
				packs, err := filepath.Glob(filepath.Join(o.Dir, "mirror", "objects", "pack", "*.pack"))
				require.NoError(t, err)
				require.Len(t, packs, 2, "one anew, and what came")
			}

			cuts, unrecovered := 0, 0
			for n := 0; n <= journal.Len(); n++ {
				for _, loss := range []durabletest.Loss{durabletest.Names, durabletest.Data, durabletest.Half} {
					after := filepath.Join(t.TempDir(), "after")
					require.NoError(t, journal.Cut(s.base, after, n, loss))
					cuts++
					if err := s.recovered(after); err != nil {
						unrecovered++
						t.Errorf("cut before change %d (%s), with the loss of %s: %v", n, journal.Change(n), loss, err)
					}
					require.NoError(t, os.RemoveAll(after))
				}
			}
			t.Logf("%s: %d cut points, %d unrecovered", s.name, cuts, unrecovered)
		})
	}
}

func TestADiskThatFailsAtAnyPointIsRecovered(t *testing.T) {
	t.Parallel()
	for _, s := range steps(t) {
		for _, forever := range []bool{false, true} {
			name := s.name + ", once"
			if forever {
				name = s.name + ", from then on"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				points, unrecovered := 0, 0
				for failed := true; failed; points++ {
					failed = false
					root := filepath.Join(t.TempDir(), "root")
					require.NoError(t, os.CopyFS(root, os.DirFS(s.base)))
					o := s.options(root)
					var done atomic.Int64
					o.Disk = durable.Disk{Before: func(durable.Change) error {
						if n := int(done.Add(1)) - 1; n == points || forever && n > points {
							failed = true
							return syscall.EIO
						}
						return nil
					}}
					if got, err := s.take(o); failed && err == nil && got != s.next {
						t.Errorf("failing at change %d is not said, and the floor is %q", points, got)
					}
					if err := s.recovered(root); err != nil {
						unrecovered++
						t.Errorf("failing at change %d: %v", points, err)
					}
					require.NoError(t, os.RemoveAll(root))
				}
				t.Logf("%s: %d points of failure, %d unrecovered", name, points-1, unrecovered)
			})
		}
	}
}
