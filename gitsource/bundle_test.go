package gitsource_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// stick is a repository that only ever sees bundles.
func stick(t *testing.T, f *fleet) (gitsource.Options, string) {
	t.Helper()
	o := f.options(t)
	dir := filepath.Join(t.TempDir(), "stick")
	require.NoError(t, os.Mkdir(dir, 0o755))
	o.Sources, o.BundleDirs = nil, []string{filepath.Join(dir, "absent"), dir}
	return o, dir
}

func TestBundlesAreFollowed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o, dir := stick(t, f)
	r := open(t, o)
	require.NoError(t, r.Fetch(context.Background()))
	_, err := r.Verify(context.Background())
	require.ErrorContains(t, err, "no source has delivered")

	f.Bundle(filepath.Join(dir, "b.bundle"))
	require.Equal(t, f.Head(), poll(t, r).Commit())
	f.commit(map[string]string{"a": "2"})
	f.Git("-c", "core.abbrev=40", "bundle", "create", "-q", "--version=3", filepath.Join(dir, "a.bundle"), "--all", "HEAD")
	require.Equal(t, f.Head(), poll(t, r).Commit(), "version 3, all branches; the other bundle has served and is no news")

	f.commit(map[string]string{"a": "3"})
	var ours bytes.Buffer
	require.NoError(t, gitsource.CreateBundle(context.Background(), &ours, f.Dir, "main", ""))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.bundle"), ours.Bytes(), 0o600))
	rev := poll(t, r)
	require.Equal(t, f.Head(), rev.Commit())
	data, err := fs.ReadFile(rev.FS(), "a")
	require.NoError(t, err)
	require.Equal(t, "3", string(data))

	require.NoError(t, os.RemoveAll(dir))
	require.Equal(t, f.Head(), poll(t, r).Commit(), "the stick is pulled")
}

func TestAnOlderBundleIsRefusedOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o, dir := stick(t, f)
	older := filepath.Join(t.TempDir(), "older")
	f.Bundle(older)
	f.commit(map[string]string{"a": "2"})
	f.Bundle(filepath.Join(dir, "new.bundle"))
	r := open(t, o)
	poll(t, r)

	data, err := os.ReadFile(older)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "old.bundle"), data, 0o600))
	rev, refused := pollRefused(t, r, gitsource.ErrOlder)
	require.Equal(t, f.Head(), rev.Commit())
	require.Equal(t, filepath.Join(dir, "old.bundle"), refused.Source)
	require.Equal(t, f.Head(), poll(t, r).Commit(), "not again")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "copy.bundle"), data, 0o600))
	require.Equal(t, f.Head(), poll(t, r).Commit(), "nor under another name")
}

func TestABundleWithABadCommitIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o, dir := stick(t, f)
	f.Bundle(filepath.Join(dir, "x.bundle"))
	r := open(t, o)
	poll(t, r)
	f.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "evil"}})
	f.Bundle(filepath.Join(dir, "x.bundle"))
	pollRefused(t, r, trust.ErrUnsigned)
	pollRefused(t, r, trust.ErrUnsigned)
	require.NoError(t, os.Remove(filepath.Join(dir, "x.bundle")))
	poll(t, r)
}

// TestABundleCutAnywhereIsTruncated: a stick that was pulled out too early says so,
// wherever that was.
func TestABundleCutAnywhereIsTruncated(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit(map[string]string{"a": strings.Repeat("line\n", 100)})
	o, dir := stick(t, f)
	path := filepath.Join(dir, "x.bundle")
	f.Bundle(path)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	r := open(t, o)
	for n := bytes.Index(whole, []byte("\n\n")) + 2; n < len(whole); n++ {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		require.ErrorContains(t, r.Fetch(t.Context()), "truncated", "of %d bytes, %d", len(whole), n)
	}
}

// Long, because it is one table.
func TestBadBundlesLeaveNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for i := range 20 {
		f.commit(map[string]string{"a": strings.Repeat("line\n", 100*i)})
	}
	good := filepath.Join(t.TempDir(), "good")
	f.Bundle(good)
	data, err := os.ReadFile(good)
	require.NoError(t, err)
	header, pack, _ := bytes.Cut(data, []byte("\n\n"))
	rest := func(head string) []byte { return append([]byte(head+"\n\n"), pack...) }
	second := f.Git("rev-parse", "HEAD^")
	thin := filepath.Join(t.TempDir(), "thin")
	f.Bundle(thin, "main^..main")
	thinData, err := os.ReadFile(thin)
	require.NoError(t, err)
	_, thinPack, _ := bytes.Cut(thinData, []byte("\n\n"))
	flipped := bytes.Clone(data)
	flipped[len(data)-30] ^= 0x55
	gap := filepath.Join(t.TempDir(), "gap")
	gapData := bundleWithout(t, f, gap)

	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a Git bundle of version 2 or 3"},
		{"no bundle", []byte("hello\n"), "not a Git bundle of version 2 or 3"},
		{"header cut", header[:30], "bundle is truncated in its header"},
		{"pack missing", []byte(string(header) + "\n\n"), "pack is truncated"},
		{"pack cut", data[:len(data)-100], "truncated"},
		{"pack cut by a byte", data[:len(data)-1], "truncated"},
		{"trailing bytes", append(bytes.Clone(data), "more"...), "4 bytes follow the pack"},
		{"trailing pack", append(bytes.Clone(data), pack...), "bytes follow the pack"},
		{"flipped bytes", flipped, "corrupt pack"},
		{"a lying header", rest("# v2 git bundle\n0123456789012345678901234567890123456789 refs/heads/main"), "which is missing"},
		{"a filter", rest("# v3 git bundle\n@filter=blob:none\n" + second + " refs/heads/main"), "bundle needs filter=blob:none, which is not supported"},
		{"SHA-256", rest("# v3 git bundle\n@object-format=sha256\n" + second + " refs/heads/main"), "bundle needs object-format=sha256, which is not supported"},
		{"another branch", rest("# v2 git bundle\n" + second + " refs/heads/trunk"), "bundle has no branch main"},
		{"a branch twice", rest("# v2 git bundle\n" + second + " refs/heads/main\n" + f.Head() + " refs/heads/main"), "bundle names refs/heads/main twice"},
		{"no branch", rest("# v2 git bundle"), "bundle without a branch"},
		{"a missing prerequisite", thinData, "missing prerequisite " + second},
		{"a thin pack that says it is full", append([]byte("# v2 git bundle\n"+f.Head()+" refs/heads/main\n\n"), thinPack...), ""},
		{"a pack with a gap", gapData, "which is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, dir := stick(t, f)
			path := filepath.Join(dir, "x.bundle")
			require.NoError(t, os.WriteFile(path, tt.data, 0o600))
			r := open(t, o)
			for range 2 {
				err := r.Fetch(context.Background())
				require.ErrorContains(t, err, tt.want)
				refused := new(gitsource.Refused)
				require.True(t, errors.As(err, &refused))
				require.Equal(t, path, refused.Source)
			}
			var left []string
			require.NoError(t, filepath.WalkDir(o.Dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					left = append(left, d.Name())
				}
				return err
			}))
			require.ElementsMatch(t, []string{"lock", "HEAD", "config"}, left)

			if tt.name != "another branch" { // which is as good as any on the command line
				_, _, err := gitsource.VerifyBundle(context.Background(), path, anchorOf(t, f.alice))
				require.ErrorContains(t, err, tt.want)
			}
			require.NoError(t, os.WriteFile(path, data, 0o600))
			require.Equal(t, f.Head(), poll(t, r).Commit(), "a whole one in its place")
		})
	}
}

// bundleWithout makes a bundle from which one blob was left out.
func bundleWithout(t *testing.T, f *fleet, path string) []byte {
	t.Helper()
	blob := f.Git("rev-parse", "main:fleet.yaml")
	cmd := exec.Command("git", "pack-objects", "-q", "--stdout")
	cmd.Dir = f.Dir
	for _, line := range strings.Split(f.Git("rev-list", "--objects", "main"), "\n") {
		if name, _, _ := strings.Cut(line, " "); name != blob {
			path += name + "\n"
		}
	}
	_, list, _ := strings.Cut(path, "gap")
	cmd.Stdin = strings.NewReader(list)
	pack, err := cmd.Output()
	require.NoError(t, err)
	return append([]byte("# v2 git bundle\n"+f.Head()+" refs/heads/main\n\n"), pack...)
}

func TestThreeToolsAgreeOnOurBundle(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit(map[string]string{"a": "2"})
	f.Git("tag", "-a", "-m", "x", "v1")
	path := filepath.Join(t.TempDir(), "ours.bundle")
	file, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, gitsource.CreateBundle(context.Background(), file, filepath.Join(f.Dir, "sites"), "HEAD", ""))
	require.NoError(t, file.Close())

	f.Git("bundle", "verify", "-q", path)
	f.Git("clone", "-q", "-b", "main", path, filepath.Join(t.TempDir(), "clone"))

	info, err := gitsource.InspectBundle(path)
	require.NoError(t, err)
	require.Equal(t, 2, info.Version)
	require.Equal(t, []gitsource.BundleRef{{Name: "refs/heads/main", Commit: f.Head()}}, info.Refs)
	require.Empty(t, info.Prerequisites)

	_, signer, err := gitsource.VerifyBundle(context.Background(), path, anchorOf(t, f.alice))
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", signer.Name)
	stranger := gitsourcetest.NewSSHKey(t, "eve@example.com", "ed25519")
	_, _, err = gitsource.VerifyBundle(context.Background(), path, anchorOf(t, stranger))
	require.ErrorIs(t, err, trust.ErrUnknownSigner)

	require.ErrorContains(t, gitsource.CreateBundle(context.Background(), file, f.Dir, "none", ""), "none")
	require.ErrorContains(t, gitsource.CreateBundle(context.Background(), file, t.TempDir(), "main", ""), "create bundle of")
}

// A clone that borrows objects may hold none itself, and lend what it borrows.
func TestABundleOfACloneThatBorrows(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first := f.Head()
	f.commit(map[string]string{"a": "2"})
	f.Git("repack", "-q", "-a", "-d")
	dir := t.TempDir()
	shared, reference, again := filepath.Join(dir, "shared"), filepath.Join(dir, "reference.git"), filepath.Join(dir, "again")
	f.Git("clone", "-q", "--shared", ".", shared)
	f.Git("clone", "-q", "--bare", "--reference", ".", "file://"+f.Dir, reference)
	f.Git("clone", "-q", "--shared", shared, again)
	var whole bytes.Buffer
	require.NoError(t, gitsource.CreateBundle(context.Background(), &whole, f.Dir, "main", ""))
	for _, clone := range []string{shared, reference, again} {
		var got bytes.Buffer
		require.NoError(t, gitsource.CreateBundle(context.Background(), &got, clone, "main", ""))
		require.Equal(t, whole.Bytes(), got.Bytes(), clone)
		require.NoError(t, gitsource.CreateBundle(context.Background(), io.Discard, clone, "main", first[:8]), "an increment")
	}

	require.NoError(t, os.RemoveAll(filepath.Join(shared, ".git", "objects")))
	err := gitsource.CreateBundle(context.Background(), io.Discard, again, "main", "")
	require.ErrorContains(t, err, "invalid object directory")
}

func TestABundleMustBeARegularFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o, dir := stick(t, f)
	real := filepath.Join(t.TempDir(), "real")
	f.Bundle(real)
	require.NoError(t, os.Symlink(real, filepath.Join(dir, "link.bundle")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.bundle"), 0o755))
	err := open(t, o).Fetch(context.Background())
	require.ErrorContains(t, err, "link.bundle")
	require.ErrorContains(t, err, "not a regular file")
}
