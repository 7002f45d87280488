package gitsource

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/require"
)

// packEntry is one object of a hand-made pack.
type packEntry struct {
	kind plumbing.ObjectType
	base plumbing.Hash // of a REF_DELTA
	data []byte
	back int // of an OFS_DELTA: how many entries before it its base is
}

func handMadePack(t testing.TB, entries ...packEntry) []byte {
	t.Helper()
	pack := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(entries)))
	starts := make([]int, len(entries))
	for i, e := range entries {
		starts[i] = len(pack)
		size := uint64(len(e.data))
		pack = append(pack, 0x80|byte(e.kind)<<4|byte(size&15))
		pack = binary.AppendUvarint(pack, size>>4)
		switch e.kind {
		case plumbing.REFDeltaObject:
			pack = append(pack, e.base[:]...)
		case plumbing.OFSDeltaObject:
			pack = append(pack, offset(starts[i]-starts[max(0, i-e.back)])...)
		}
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		_, err := w.Write(e.data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		pack = append(pack, z.Bytes()...)
	}
	return summed(pack)
}

// summed adds the checksum that a pack ends in.
func summed(pack []byte) []byte {
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

// offset is written as gitformat-pack(5) has it for OFS_DELTA.
func offset(n int) []byte {
	out := []byte{byte(n & 127)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		out = append([]byte{0x80 | byte(n&127)}, out...)
	}
	return out
}

// appending is a delta that copies all of base and adds one letter.
func appending(base, letter string) []byte {
	delta := binary.AppendUvarint(nil, uint64(len(base)))
	delta = binary.AppendUvarint(delta, uint64(len(base)+1))
	delta = append(delta, 0x80|0x10, byte(len(base)))
	return append(delta, 1, letter[0])
}

func blobHash(s string) plumbing.Hash { return plumbing.ComputeHash(plumbing.BlobObject, []byte(s)) }

func TestThinPacks(t *testing.T) {
	t.Parallel()
	lim := limits{pack: 1 << 20, object: 1 << 10, unpacked: 1 << 12, objects: 100}
	base, err := stage(t.Context(), t.TempDir(), bytes.NewReader(handMadePack(t,
		packEntry{kind: plumbing.BlobObject, data: []byte("one")},
		packEntry{kind: plumbing.BlobObject, data: []byte("one2")},
		packEntry{kind: plumbing.BlobObject, data: bytes.Repeat([]byte("x"), 1000)},
	)), nil, lim)
	require.NoError(t, err)
	t.Cleanup(base.discard)
	on := func(s, letter string) packEntry {
		return packEntry{kind: plumbing.REFDeltaObject, base: blobHash(s), data: appending(s, letter)}
	}
	for _, tt := range []struct {
		name  string
		pack  []byte
		lim   func(*limits)
		bare  bool // without base
		holds []string
		want  string
	}{
		{name: "one delta", pack: handMadePack(t, on("one", "!")), holds: []string{"one", "one!"}},
		{name: "a chain", pack: handMadePack(t, on("one", "!"), on("one!", "?")), holds: []string{"one", "one!", "one!?"}},
		{
			name: "a base that is in the pack too, as a delta", pack: handMadePack(t, on("one", "2"), on("one2", "3")),
			holds: []string{"one", "one2", "one23"},
		},
		{
			name: "a base that is in the pack too, whole", pack: handMadePack(t, packEntry{kind: plumbing.BlobObject, data: []byte("one")}, on("one", "2")),
			holds: []string{"one", "one2"},
		},
		{name: "a base that nobody has", pack: handMadePack(t, on("two", "!")), want: "builds on objects that are missing"},
		{name: "nothing to build on", pack: handMadePack(t, on("one", "!")), bare: true, want: "builds on objects that are missing"},
		{
			name: "a delta whose last letters are cut off", want: "malformed delta",
			pack: handMadePack(t, packEntry{kind: plumbing.REFDeltaObject, base: blobHash("one"), data: []byte("\x03\x09\x09four")}),
		},
		{
			name: "a delta that makes too much", want: "object of 2000 bytes, at most 1024 are allowed",
			pack: handMadePack(t, packEntry{kind: plumbing.REFDeltaObject, base: blobHash(strings.Repeat("x", 1000)), data: []byte("\xe8\x07\xd0\x0f\xb0\xe8\x03\xb0\xe8\x03")}),
		},
		{name: "bases beyond the limit", pack: handMadePack(t, on("one", "!")), lim: func(l *limits) { l.unpacked = 6 }, want: "bytes unpacked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lim, st := lim, base.store
			if tt.lim != nil {
				tt.lim(&lim)
			}
			if tt.bare {
				st = nil
			}
			s, err := stage(t.Context(), t.TempDir(), bytes.NewReader(tt.pack), st, lim)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			t.Cleanup(s.discard)
			require.Len(t, s.order, len(tt.holds), "each once")
			for _, content := range tt.holds {
				data, err := s.store.read(blobHash(content), plumbing.BlobObject, 100)
				require.NoError(t, err)
				require.Equal(t, content, string(data))
			}
		})
	}
}

func TestPacksReferToTheRightTypes(t *testing.T) {
	t.Parallel()
	blob := packEntry{kind: plumbing.BlobObject, data: []byte("one")}
	name := blobHash("one")
	who := "author A <a@x> 1 +0000\ncommitter C <c@x> 1 +0000\n\nm\n"
	for _, tt := range []struct {
		name string
		with packEntry
		want string
	}{
		{"a file", packEntry{kind: plumbing.TreeObject, data: append([]byte("100644 a\x00"), name[:]...)}, ""},
		{"a folder that is a file", packEntry{kind: plumbing.TreeObject, data: append([]byte("40000 a\x00"), name[:]...)}, "as a tree"},
		{"a commit of a file", packEntry{kind: plumbing.CommitObject, data: []byte("tree " + name.String() + "\n" + who)}, "as a tree"},
		{"a tag of a file", packEntry{kind: plumbing.TagObject, data: []byte("object " + name.String() + "\ntype blob\ntag a\ntagger T <t@x> 1 +0000\n\nm\n")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := stage(t.Context(), t.TempDir(), bytes.NewReader(handMadePack(t, blob, tt.with)), nil, fuzzLimits())
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			s.discard()
		})
	}
}
