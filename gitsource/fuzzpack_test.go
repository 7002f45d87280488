package gitsource

import (
	"bytes"
	"crypto/sha1"
	"os"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/require"
)

// fuzzLimits are small, so that a fuzzer meets them.
func fuzzLimits() limits {
	return limits{pack: 1 << 16, object: 1 << 14, unpacked: 1 << 18, objects: 1 << 10}
}

// requireWhole stages a pack, and expects that it is refused, or that all of it is
// what it is named after and keeps to the limits. Nothing may be left in dir.
func requireWhole(t *testing.T, dir string, pack []byte, base *store) {
	t.Helper()
	lim := fuzzLimits()
	s, err := stage(t.Context(), dir, bytes.NewReader(pack), base, lim)
	if err == nil {
		for _, h := range s.order {
			if _, err := s.store.read(h, s.types[h], lim.object); err != nil {
				t.Fatalf("accepted, but: %v", err)
			}
		}
		s.discard()
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// FuzzPack gives each pack the checksum that it should have: with a wrong one,
// nothing beyond a first look would be tried.
func FuzzPack(f *testing.F) {
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		requireWhole(t, dir, data, nil)
		if len(data) > sha1.Size {
			requireWhole(t, dir, summed(bytes.Clone(data[:len(data)-sha1.Size])), nil)
		}
	})
}

// FuzzThinPack builds packs of well-formed entries, so that what varies is which
// object builds on which, and the deltas. Of an entry the first byte says the type,
// the second on what it builds, the third how many bytes follow.
func FuzzThinPack(f *testing.F) {
	dir, names := f.TempDir(), []plumbing.Hash{{}}
	entries := []packEntry{
		{kind: plumbing.BlobObject, data: []byte("one")},
		{kind: plumbing.BlobObject, data: []byte("one2")},
		{kind: plumbing.BlobObject, data: bytes.Repeat([]byte("x"), 1000)},
		{kind: plumbing.TreeObject},
	}
	for _, e := range entries {
		names = append(names, plumbing.ComputeHash(e.kind, e.data))
	}
	commit := []byte("tree " + names[len(names)-1].String() + "\nauthor A <a@x> 1 +0000\ncommitter C <c@x> 1 +0000\n\nm\n")
	entries = append(entries, packEntry{kind: plumbing.CommitObject, data: commit})
	names = append(names, plumbing.ComputeHash(plumbing.CommitObject, commit), blobHash("one!"))

	base, err := stage(f.Context(), f.TempDir(), bytes.NewReader(handMadePack(f, entries...)), nil, fuzzLimits())
	require.NoError(f, err)
	f.Cleanup(base.discard)
	f.Fuzz(func(t *testing.T, data []byte) {
		requireWhole(t, dir, handMadePack(t, entriesOf(data, names)...), base.store)
	})
}

func entriesOf(data []byte, names []plumbing.Hash) []packEntry {
	kinds := []plumbing.ObjectType{
		plumbing.REFDeltaObject, plumbing.OFSDeltaObject, plumbing.BlobObject, plumbing.TreeObject, plumbing.CommitObject, plumbing.TagObject,
	}
	var list []packEntry
	for len(data) >= 3 {
		n := min(int(data[2]), len(data)-3)
		list = append(list, packEntry{
			kind: kinds[int(data[0])%len(kinds)], base: names[int(data[1])%len(names)], back: int(data[1]), data: data[3 : 3+n],
		})
		data = data[3+n:]
	}
	return list
}
