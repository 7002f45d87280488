package content

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
)

const missingDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	require.NoError(t, err)
	return s
}

func writeFile(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

// buildHello compiles the static test program.
func buildHello(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "hello")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", out, "./testdata/hello")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	return out
}

func TestFilesGoInAndOut(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	kube := writeFile(t, filepath.Join(src, "kube"), strings.Repeat("program ", 1000), 0o755)
	conf := writeFile(t, filepath.Join(src, "conf.yaml"), "a: b\n", 0o640)
	empty := writeFile(t, filepath.Join(src, "empty"), "", 0o600)
	s := newStore(t)

	digest, err := s.AddFiles("holdfast.dev/kube:v1", []string{kube, conf, empty})
	require.NoError(t, err)
	again, err := newStore(t).AddFiles("holdfast.dev/kube:v1", []string{empty, kube, conf})
	require.NoError(t, err)
	require.Equal(t, digest, again, "order and store do not change the digest")
	require.NoError(t, s.Verify(digest))

	got, err := s.Digest("holdfast.dev/kube:v1")
	require.NoError(t, err)
	require.Equal(t, digest, got)
	got, err = s.Digest("holdfast.dev/kube:v1@" + digest)
	require.NoError(t, err)
	require.Equal(t, digest, got)

	entries, err := s.List()
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "files", entries[0].Kind)
	require.Greater(t, entries[0].Size, int64(8000))

	dir := filepath.Join(t.TempDir(), "a", "kube")
	require.NoError(t, s.Extract(digest, dir))
	requireFiles(t, dir, map[string]fs.FileMode{"kube": 0o755, "conf.yaml": 0o640, "empty": 0o600})
	before, err := os.Stat(dir)
	require.NoError(t, err)
	require.NoError(t, s.Extract(digest, dir), "extracting again changes nothing")
	after, err := os.Stat(dir)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))

	require.NoError(t, os.Truncate(filepath.Join(dir, "kube"), 5))
	require.NoError(t, s.Extract(digest, dir), "a damaged extract is made anew")
	requireFiles(t, dir, map[string]fs.FileMode{"kube": 0o755, "conf.yaml": 0o640, "empty": 0o600})
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing stays beside it")
}

func requireFiles(t *testing.T, dir string, want map[string]fs.FileMode) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	got := map[string]fs.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		if e.Name() != markerFile {
			got[e.Name()] = info.Mode()
		}
	}
	require.Equal(t, want, got)
	if _, ok := want["kube"]; ok {
		data, err := os.ReadFile(filepath.Join(dir, "kube"))
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("program ", 1000), string(data))
	}
}

func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	digest, err := s.AddFiles("holdfast.dev/a:1", []string{writeFile(t, filepath.Join(t.TempDir(), "a"), "a", 0o644)})
	require.NoError(t, err)

	full := t.TempDir()
	writeFile(t, filepath.Join(full, "mine"), "keep", 0o644)
	require.ErrorContains(t, s.Extract(digest, full), "something else is there")
	require.FileExists(t, filepath.Join(full, "mine"))

	require.NoError(t, s.Extract(digest, t.TempDir()), "an empty folder is filled")
	require.ErrorIs(t, s.Extract(missingDigest, filepath.Join(t.TempDir(), "x")), ErrMissing)

	program, err := s.AddProgram("holdfast.dev/hello:1", buildHello(t))
	require.NoError(t, err)
	require.ErrorContains(t, s.Extract(program, filepath.Join(t.TempDir(), "x")), "no artifact of files")
}

func TestTitlesStayInside(t *testing.T) {
	t.Parallel()
	for _, title := range []string{
		"", ".", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/", "a\\b", "a\nb", "a\x00b",
		markerFile, markerFile + "/x",
	} {
		t.Run(fmt.Sprintf("%q", title), func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			digest := addTitles(t, s, title)
			parent := t.TempDir()
			require.ErrorContains(t, s.Extract(digest, filepath.Join(parent, "x")), "is refused")
			left, err := os.ReadDir(parent)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
	s := newStore(t)
	dir := filepath.Join(t.TempDir(), "x")
	require.NoError(t, s.Extract(addTitles(t, s, "bin/a", "..b"), dir), "folders and odd names are fine")
	require.FileExists(t, filepath.Join(dir, "bin", "a"))
	require.ErrorContains(t, s.Extract(addTitles(t, s, "a", "a"), dir+"2"), "two files are called")
	require.Error(t, s.Extract(addTitles(t, s, "a", "a/b"), dir+"3"), "a file cannot be a folder")
	require.NoDirExists(t, dir+"3")
}

// addTitles stores an artifact of files with the given titles, unchecked.
func addTitles(t *testing.T, s *Store, titles ...string) string {
	t.Helper()
	m := v1.Manifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: FilesType}
	var err error
	m.Config, err = s.putBytes([]byte("{}"))
	require.NoError(t, err)
	for _, title := range titles {
		layer, err := s.putBytes([]byte("bytes"))
		require.NoError(t, err)
		layer.Annotations = map[string]string{titleAnnotation: title}
		m.Layers = append(m.Layers, layer)
	}
	digest, err := s.putManifest(reference{repo: "holdfast.dev/titles", tag: "1"}, m, nil)
	require.NoError(t, err)
	return digest
}

func TestReferences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, ref, want, err string }{
		{"host, path and tag", "holdfast.dev/web/app:v1.2", "holdfast.dev/web/app:v1.2", ""},
		{"a port is no tag", "reg.example.com:5000/app", "reg.example.com:5000/app:latest", ""},
		{"no tag is latest", "holdfast.dev/app", "holdfast.dev/app:latest", ""},
		{"a digest alone", "holdfast.dev/app@" + missingDigest, "holdfast.dev/app@" + missingDigest, ""},
		{"tag and digest", "holdfast.dev/app:v1@" + missingDigest, "holdfast.dev/app:v1", ""},
		{"no host is not guessed", "nginx:1.27", "", "host with a dot"},
		{"a user name is no host", "library/nginx:1.27", "", "host with a dot"},
		{"localhost has no dot", "localhost/app:1", "", "host with a dot"},
		{"upper case path", "holdfast.dev/App:1", "", "no repository name"},
		{"dots climb nowhere", "holdfast.dev/../app:1", "", "no repository name"},
		{"empty tag", "holdfast.dev/app:", "", "is no tag"},
		{"short digest", "holdfast.dev/app@sha256:12", "", "no sha256 digest"},
		{"other hash", "holdfast.dev/app@sha512:" + strings.Repeat("0", 128), "", "no sha256 digest"},
		{"empty", "", "", "host with a dot"},
		{"too long", "holdfast.dev/" + strings.Repeat("a", 300), "", "no repository name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := parseReference(tt.ref)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, r.String())
		})
	}
}

func TestMissingReferenceIsNamed(t *testing.T) {
	t.Parallel()
	_, err := newStore(t).Digest("holdfast.dev/nothing:v1")
	require.ErrorIs(t, err, ErrMissing)
	require.ErrorContains(t, err, "holdfast.dev/nothing:v1")
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "notes.txt"), "", 0o644)
	_, err := Open(dir)
	require.ErrorContains(t, err, "notes.txt")

	s := newStore(t)
	writeFile(t, s.path(layoutFile), `{"imageLayoutVersion":"9.0.0"}`, 0o644)
	_, err = Open(s.dir)
	require.ErrorContains(t, err, "9.0.0")

	s = newStore(t)
	require.NoError(t, os.Truncate(s.path(indexFile), maxManifest+1))
	_, err = Open(s.dir)
	require.ErrorContains(t, err, "over the limit")
}

func TestProgramIsReproducibleAndRuns(t *testing.T) {
	t.Parallel()
	hello := buildHello(t)
	s := newStore(t)
	digest, err := s.AddProgram("holdfast.dev/hello:v1", hello)
	require.NoError(t, err)
	copied := filepath.Join(t.TempDir(), "hello")
	data, err := os.ReadFile(hello)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(copied, data, 0o700)) //nolint:gosec // it is a program
	require.NoError(t, os.Chtimes(copied, time.Unix(1, 0), time.Unix(1, 0)))
	again, err := newStore(t).AddProgram("holdfast.dev/hello:v1", copied)
	require.NoError(t, err)
	require.Equal(t, digest, again, "time, mode and owner do not change the digest")

	h, err := parseDigest(digest)
	require.NoError(t, err)
	doc, _, err := s.document(h)
	require.NoError(t, err)
	raw, err := s.readBlob(doc.manifest.Config.Digest)
	require.NoError(t, err)
	var config v1.ConfigFile
	require.NoError(t, json.Unmarshal(raw, &config))
	require.Equal(t, "65532:65532", config.Config.User)

	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	require.Len(t, doc.manifest.Layers, 1)
	untar(t, s, doc.manifest.Layers[0], root)
	cmd := exec.Command(config.Config.Entrypoint[0])
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
	} else {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "hello from /hello as 65532 65532\n", string(out))
}

func untar(t *testing.T, s *Store, layer v1.Descriptor, root string) {
	t.Helper()
	r, err := s.blob(layer)
	require.NoError(t, err)
	defer r.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		require.True(t, filepath.IsLocal(h.Name))
		var b bytes.Buffer
		_, err = io.Copy(&b, tr)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(root, h.Name), b.Bytes(), fs.FileMode(h.Mode)))
	}
}

func TestProgramMustBeStatic(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	text := writeFile(t, filepath.Join(t.TempDir(), "script"), "#!/bin/sh\n", 0o755)
	_, err := s.AddProgram("holdfast.dev/x:1", text)
	require.ErrorContains(t, err, "no Linux program")
	_, err = s.AddProgram("holdfast.dev/x:1", "/bin/ls")
	require.ErrorContains(t, err, "not static")
	_, err = s.AddProgram("holdfast.dev/x:1", t.TempDir())
	require.ErrorContains(t, err, "no regular file")
	_, err = s.AddProgram("x:1", text)
	require.ErrorContains(t, err, "host with a dot")
	entries, err := s.List()
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestAStoreThatAnotherCreatedMeanwhileIsOpened holds create to what it meets
// when another process finished between its own look for a layout and its start.
func TestAStoreThatAnotherCreatedMeanwhileIsOpened(t *testing.T) {
	t.Parallel()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	require.NoError(t, err)
	require.NoError(t, s.create())
	require.NoError(t, s.open())
}

func TestConcurrentWritersLoseNothing(t *testing.T) {
	t.Parallel()
	hello := buildHello(t)
	dir := filepath.Join(t.TempDir(), "store")
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			s, err := Open(dir)
			if err == nil {
				_, err = s.AddProgram(fmt.Sprintf("holdfast.dev/hello:v%d", i), hello)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	s, err := Open(dir)
	require.NoError(t, err)
	entries, err := s.List()
	require.NoError(t, err)
	require.Len(t, entries, len(errs))
	require.NoError(t, s.Verify(entries[0].Digest))
	left, err := os.ReadDir(s.path(ingestDir))
	require.NoError(t, err)
	require.Empty(t, left)
}
