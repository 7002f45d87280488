package gitsource

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/require"
)

func FuzzBundleHeader(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := parseBundleHeader(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		for _, ref := range info.Refs {
			if plumbing.NewHash(ref.Commit).String() != ref.Commit {
				t.Fatalf("%q is no name of an object", ref.Commit)
			}
		}
	})
}

func FuzzCommit(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCommit(plumbing.ZeroHash, data)
		if err != nil {
			return
		}
		if len(c.payload) > len(data) {
			t.Fatal("more is signed than there is")
		}
		unsigned, err := parseCommit(plumbing.ZeroHash, c.payload)
		if err != nil || len(unsigned.signature) > 0 || unsigned.tree != c.tree || !bytes.Equal(unsigned.payload, c.payload) {
			t.Fatalf("what is signed is another commit: %v", err)
		}
	})
}

func FuzzTag(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		tag, err := parseTag(plumbing.ZeroHash, data)
		if err != nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(tag.payload), tag.signature...), data) {
			t.Fatal("something is neither signed nor a signature")
		}
		target, err := tagTarget(data)
		if err != nil || target != tag.target {
			t.Fatal("two readers see two targets")
		}
	})
}

func FuzzTree(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseTree(data)
		if err != nil {
			return
		}
		names := make(map[string]bool)
		for _, e := range entries {
			if names[e.name] || checkName(e.name) != nil {
				t.Fatalf("bad name %q", e.name)
			}
			names[e.name] = true
		}
	})
}

func TestFuzzSeedsExist(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FuzzBundleHeader", "FuzzPack", "FuzzThinPack", "FuzzCommit", "FuzzTag", "FuzzTree", "FuzzMirrorHead"} {
		seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", name))
		require.NoError(t, err)
		require.NotEmpty(t, seeds, name)
	}
}

func FuzzMirrorHead(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		head, err := parseMirrorHead(data)
		if err != nil {
			return
		}
		has := func(string) bool { return false }
		path, err := head.path(has)
		if err != nil {
			return
		}
		if len(path) > len(head.Files) {
			t.Fatalf("%v is longer than there are files", path)
		}
		if len(head.Tags) > 0 && len(head.tagsFile(path[:len(path)-1], has)) > 0 && len(path) > 1 {
			path = path[:len(path)-1]
		}
		if path[0].Since != "" {
			t.Fatalf("%v does not begin at a base", path)
		}
		for i, step := range path[1:] {
			if step.Since != path[i].Tip {
				t.Fatalf("%v has a gap", path)
			}
		}
	})
}
