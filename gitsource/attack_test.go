package gitsource_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// object writes an object as it is, which git's own commands would not make.
func (f *fleet) object(t *testing.T, kind string, raw []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), kind)
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	return f.Git("hash-object", "-w", "--literally", "-t", kind, file)
}

// commitTree moves main to a signed commit of a tree on what main was.
func (f *fleet) commitTree(t *testing.T, tree string) string {
	t.Helper()
	who := " A <a@example.com> " + f.Git("log", "-1", "--format=%ct") + " +0000\n"
	head, body := "tree "+tree+"\nparent "+f.Head()+"\nauthor"+who+"committer"+who, "\nodd\n"
	signature := strings.TrimSuffix(string(f.alice.Sign([]byte(head+body), "git")), "\n")
	c := f.object(t, "commit", []byte(head+"gpgsig "+strings.ReplaceAll(signature, "\n", "\n ")+"\n"+body))
	f.Git("update-ref", "refs/heads/main", c)
	return c
}

// Git itself would not check these out; here nothing of them is even stored.
func TestOddTrees(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		entries []string // mode and name
		want    string   // error; empty: accepted
	}{
		{"a name of spaces and other letters", []string{"100644 ein Gruß aus Zürich"}, ""},
		{"names that only begin like it", []string{"100644 .github", "100644 .gitignore", "100644 git~10", "100644 g\u200cit"}, ""},
		{".git", []string{"40000 .git"}, `tree with the name ".git"`},
		{".GIT", []string{"40000 .GIT"}, `tree with the name ".GIT"`},
		{"git~1, its short name on Windows", []string{"40000 git~1"}, `tree with the name "git~1"`},
		{".git with what Windows leaves out", []string{"40000 .git . "}, `tree with the name ".git . "`},
		{".git with a stream", []string{"40000 .git::$INDEX_ALLOCATION"}, `tree with the name ".git::$INDEX_ALLOCATION"`},
		{".git with a letter that macOS leaves out", []string{"40000 .g\u200cit"}, `tree with the name`},
		{"such a letter in front", []string{"40000 \ufeff.Git"}, `tree with the name`},
		{"dot", []string{"40000 ."}, `tree with the name "."`},
		{"two dots", []string{"40000 .."}, `tree with the name ".."`},
		{"a slash", []string{"100644 ../../etc/passwd"}, `tree with the name "../../etc/passwd"`},
		{"a backslash", []string{`100644 ..\x`}, `tree with the name`},
		{"a letter that moves the cursor", []string{"100644 a\x1b[1Ab"}, `tree with the name`},
		{"a line break", []string{"100644 a\nb"}, `tree with the name`},
		{"256 letters", []string{"100644 " + strings.Repeat("x", 256)}, "tree with a name of 256 bytes"},
		{"a mode that Git has not", []string{"100600 a"}, `tree with the mode "100600"`},
		{"a mode with a zero in front", []string{"040000 a"}, `tree with the mode "040000"`},
		{"one name twice", []string{"100644 a", "100755 a"}, "out of order or twice"},
		{"a file and a folder of one name", []string{"100644 a", "100644 a.b", "40000 a"}, "out of order or twice"},
		{"the wrong order", []string{"100644 b", "100644 a"}, "out of order or twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			r := open(t, f.options(t))
			good := poll(t, r).Commit()
			var raw []byte
			for _, entry := range tt.entries {
				hash := []byte(f.object(t, "blob", []byte("x")))
				if strings.HasPrefix(entry, "4") || strings.HasPrefix(entry, "04") {
					hash = []byte(f.Git("rev-parse", "HEAD:sites"))
				}
				raw = append(append(raw, entry...), 0)
				for i := 0; i < len(hash); i += 2 {
					raw = append(raw, unhex(hash[i])<<4|unhex(hash[i+1]))
				}
			}
			odd := f.commitTree(t, f.object(t, "tree", raw))
			err := r.Fetch(context.Background())
			if tt.want == "" {
				require.NoError(t, err)
				require.Equal(t, odd, poll(t, r).Commit())
				return
			}
			require.ErrorContains(t, err, tt.want)
			rev, err := r.Verify(context.Background())
			require.NoError(t, err)
			require.Equal(t, good, rev.Commit())
		})
	}
}

func unhex(c byte) byte { return byte(strings.IndexByte("0123456789abcdef", c)) }

// Each of these was signed by bob, whose approval would be enough. They come in a
// bundle, as a Git server keeps some of them to itself.
func TestOddApprovals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(payload, on string) string
		want error
	}{
		{"as git writes it", func(s, _ string) string { return s }, nil},
		{"a header that is not known", func(s, _ string) string { return strings.Replace(s, "\n\n", "\nencoding latin-1\n\n", 1) }, trust.ErrTooFew},
		{"a header twice", func(s, on string) string { return strings.Replace(s, "\ntype", "\nobject "+on+"\ntype", 1) }, trust.ErrTooFew},
		{"a commit that it calls a tree", func(s, _ string) string { return strings.Replace(s, "type commit", "type tree", 1) }, trust.ErrTooFew},
		{"a commit that it calls a tag", func(s, _ string) string { return strings.Replace(s, "type commit", "type tag", 1) }, trust.ErrTooFew},
		{"another name", func(s, _ string) string { return strings.Replace(s, "approve/bob", "looked-at/bob", 1) }, trust.ErrTooFew},
		{"no signature", func(s, _ string) string { return s }, trust.ErrTooFew},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeam(t)
			o, dir := stick(t, g.fleet)
			file := filepath.Join(dir, "x.bundle")
			g.Bundle(file)
			r := open(t, o)
			poll(t, r)
			c := g.change()
			payload := []byte(tt.edit("object "+c+"\ntype commit\ntag approve/bob\ntagger T <t@example.com> "+g.Git("log", "-1", "--format=%ct")+" +0000\n\nok\n", c))
			if tt.name != "no signature" {
				payload = append(payload, g.bob.Sign(payload, "git")...)
			}
			tag := g.object(t, "tag", payload)
			pack := exec.Command("git", "pack-objects", "-q", "--stdout")
			pack.Dir, pack.Stdin = g.Dir, strings.NewReader(g.Git("rev-list", "--objects", "--no-object-names", "main")+"\n"+tag+"\n")
			data, err := pack.Output()
			require.NoError(t, err)
			header := "# v2 git bundle\n" + c + " refs/heads/main\n" + tag + " refs/tags/approve/bob\n\n"
			require.NoError(t, os.WriteFile(file, append([]byte(header), data...), 0o600))
			if tt.want == nil {
				require.Equal(t, c, poll(t, r).Commit())
				return
			}
			_, refused := pollRefused(t, r, tt.want)
			require.Equal(t, c, refused.Commit)
		})
	}
}

func TestOnlyApprovalsOfAHeadCoverWhatIsMerged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, tag string
		want      error
	}{
		{"an approval", "approve/", nil},
		{"a signed tag that is none", "reviewed/", trust.ErrUnsigned},
		{"a release", "v", trust.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeam(t)
			r := open(t, g.options(t))
			poll(t, r)
			head := g.pull()
			g.Tag(gitsourcetest.Tag{Name: tt.tag + "bob", On: head, By: g.bob})
			g.Tag(gitsourcetest.Tag{Name: tt.tag + "carol", On: head, By: g.carol})
			g.squash(nil)
			rev, err := fetchAndVerify(r)
			require.Equal(t, tt.want == nil, rev.Commit() == g.Head())
			require.ErrorIs(t, err, tt.want)
		})
	}
}

// Else a key that is there for nothing could lead a host away from the branch.
func TestAnEmptyCommitNeedsARightToSomething(t *testing.T) {
	t.Parallel()
	g := newTeam(t)
	erin := gitsourcetest.NewSSHKey(t, "erin@example.com", "ed25519")
	keys := g.alice.Public() + g.home.Public() + g.bob.Public() + g.carol.Public() + g.dave.Public()
	g.approve(g.bob, g.commit(map[string]string{"trust/allowed_signers": keys + erin.Public()}))
	r := open(t, g.options(t))
	poll(t, r)
	good := g.Head()
	g.Commit(gitsourcetest.Commit{})
	rev, _ := pollRefused(t, r, trust.ErrUnsigned)
	require.Equal(t, good, rev.Commit(), "bob's approval of what is there is none of this")
	g.Git("reset", "-q", "--hard", good)
	empty := g.Commit(gitsourcetest.Commit{By: erin})
	rev, refused := pollRefused(t, r, trust.ErrForbiddenPath)
	require.Equal(t, good, rev.Commit())
	require.Equal(t, empty, refused.Commit)
	g.approve(g.dave, empty)
	require.Equal(t, empty, poll(t, r).Commit(), "approved by somebody who may change sites")
}

// An object that is somebody else's bytes, as an attacker with the disk in his
// hands would leave it: it must not be read, wherever it lies.
func TestAnotherObjectsBytesAreNotRead(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.options(t)
	r := open(t, o)
	poll(t, r)
	name := f.Git("rev-parse", "HEAD:fleet.yaml")
	evil := f.object(t, "blob", []byte("kind: Evil!\n"))
	loose := func(dir, name string) string { return filepath.Join(dir, "objects", name[:2], name[2:]) }
	data, err := os.ReadFile(loose(filepath.Join(f.Dir, ".git"), evil))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	path := loose(filepath.Join(o.Dir, "mirror"), name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, data, 0o600))

	rev, _, err := open(t, o).Floor()
	require.NoError(t, err, "the mirror is rebuilt from its copy")
	read, err := fs.ReadFile(rev.FS(), "fleet.yaml")
	require.NoError(t, err)
	require.Equal(t, "kind: Fleet\n", string(read))
}

// Long, because each key does all that a key can do.
func TestEveryKindOfKey(t *testing.T) {
	t.Parallel()
	pgp := func(t *testing.T, algorithm string) *gitsourcetest.Key {
		return gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "alice@example.com", Algorithm: algorithm})
	}
	ssh := func(t *testing.T, algorithm string) *gitsourcetest.Key {
		return gitsourcetest.NewSSHKey(t, "alice@example.com", algorithm)
	}
	for _, tt := range []struct {
		name, algorithm string
		make            func(*testing.T, string) *gitsourcetest.Key
	}{
		{"OpenPGP RSA-3072", "rsa3072", pgp}, {"OpenPGP ed25519", "ed25519", pgp},
		{"SSH ed25519", "ed25519", ssh}, {"SSH ecdsa-256", "ecdsa-256", ssh}, {"SSH ecdsa-384", "ecdsa-384", ssh}, {"SSH rsa", "rsa-3072", ssh},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, stranger := tt.make(t, tt.algorithm), tt.make(t, tt.algorithm)
			f := newFleetOf(t, key)
			r := open(t, f.options(t))
			require.Equal(t, key.Fingerprint, poll(t, r).Signer().Key)
			f.commit(map[string]string{"a": "signed"})
			require.Equal(t, f.Head(), poll(t, r).Commit())

			f.Commit(gitsourcetest.Commit{By: stranger, Files: map[string]string{"a": "approved"}})
			f.Tag(gitsourcetest.Tag{Name: "approve/a", By: stranger})
			pollRefused(t, r, trust.ErrUnknownSigner)
			f.Tag(gitsourcetest.Tag{Name: "approve/a", By: key})
			require.Equal(t, f.Head(), poll(t, r).Commit())

			at := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
			f.Tag(gitsourcetest.Tag{Name: gitsource.HeartbeatTag, By: stranger, At: at})
			require.Zero(t, poll(t, r).Heartbeat())
			f.Tag(gitsourcetest.Tag{Name: gitsource.HeartbeatTag, By: key, At: at})
			require.Equal(t, at, poll(t, r).Heartbeat().UTC())

			f.commit(map[string]string{"trust/policy.yaml": strings.Replace(policy, "mode: commit", "mode: releases", 1)})
			poll(t, r)
			f.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "released"}})
			f.Tag(gitsourcetest.Tag{Name: "v1", By: stranger})
			pollRefused(t, r, trust.ErrUnknownSigner)
			f.Tag(gitsourcetest.Tag{Name: "v1", By: key})
			require.Equal(t, f.Head(), poll(t, r).Commit())
		})
	}
}

func TestNestedAndUnsignedTagsAreNotCarried(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Tag(gitsourcetest.Tag{Name: "signed", By: f.alice})
	f.Tag(gitsourcetest.Tag{Name: "nested", On: "signed", By: f.alice})
	f.Tag(gitsourcetest.Tag{Name: "tree", On: "HEAD^{tree}", By: f.alice})
	f.Tag(gitsourcetest.Tag{Name: "unsigned"})
	f.Git("tag", "light")
	f.Git("update-ref", "refs/tags/renamed", "refs/tags/signed")
	var out bytes.Buffer
	require.NoError(t, gitsource.CreateBundle(context.Background(), &out, f.Dir, "main", ""))
	file := filepath.Join(t.TempDir(), "x.bundle")
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
	info, err := gitsource.InspectBundle(file)
	require.NoError(t, err)
	var names []string
	for _, ref := range info.Refs {
		names = append(names, ref.Name)
	}
	require.Equal(t, []string{"refs/heads/main", "refs/tags/signed"}, names)
}
