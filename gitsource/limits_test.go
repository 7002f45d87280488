package gitsource

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

func packOf(t *testing.T, repo *gitsourcetest.Repo) []byte {
	t.Helper()
	cmd := exec.Command("git", "pack-objects", "-q", "--stdout", "--all")
	cmd.Dir = repo.Dir
	pack, err := cmd.Output()
	require.NoError(t, err)
	return pack
}

func TestPacksAreLimited(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.NewRepo(t)
	body := strings.Repeat("0123456789abcdef\n", 64<<10)
	repo.Commit(gitsourcetest.Commit{Files: map[string]string{"bomb": body}})
	repo.Commit(gitsourcetest.Commit{Files: map[string]string{"bomb": body + "end\n"}})
	pack := packOf(t, repo)
	require.Less(t, len(pack), len(body)/50)
	lim := limits{pack: 1 << 20, object: 2 << 20, unpacked: 4 << 20, objects: 100}
	for _, tt := range []struct {
		name  string
		limit func(*limits)
		pack  []byte
		want  string
	}{
		{"within", func(*limits) {}, pack, ""},
		{"bytes of the pack", func(l *limits) { l.pack = int64(len(pack)) - 1 }, pack, "pack is larger than"},
		{"bytes of an object", func(l *limits) { l.object = 1 << 20 }, pack, "at most 1048576 are allowed"},
		{"bytes of what a delta makes", func(l *limits) { l.object = int64(len(body)) + 1 }, pack, "at most"},
		{"bytes unpacked", func(l *limits) { l.unpacked = 1<<20 + 1<<19 }, pack, "bytes unpacked"},
		{"number of objects", func(l *limits) { l.objects = 5 }, pack, "pack of 6 objects, at most 5 are allowed"},
		{"a declared object of 4 GB", func(*limits) {}, declares(t, 4<<30), "object of 4294967296 bytes"},
		{"a declared object of 1 MB that is short", func(*limits) {}, declares(t, 1<<20), "object shorter than declared"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, lim := t.TempDir(), lim
			tt.limit(&lim)
			s, err := stage(t.Context(), dir, bytes.NewReader(tt.pack), nil, lim)
			if tt.want == "" {
				require.NoError(t, err)
				s.discard()
			} else {
				require.ErrorContains(t, err, tt.want)
			}
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// declares is a pack with one blob "x" that says that it has size bytes.
func declares(t *testing.T, size uint64) []byte {
	t.Helper()
	pack := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01")
	pack = append(pack, 0x80|3<<4|byte(size&15))
	pack = binary.AppendUvarint(pack, size>>4)
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, err := w.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	pack = append(pack, z.Bytes()...)
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

func TestSlowRemotesAreGivenUp(t *testing.T) {
	t.Parallel()
	key := gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519")
	repo := gitsourcetest.NewRepo(t)
	repo.Commit(gitsourcetest.Commit{By: key})
	anchor, err := trust.ParseKeyring(map[string][]byte{"allowed_signers": []byte(key.Public())})
	require.NoError(t, err)
	backend, err := gitsourcetest.Handler(filepath.Dir(repo.Dir))
	require.NoError(t, err)
	stalls := func(when string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, when) {
				<-req.Context().Done()
				return
			}
			backend.ServeHTTP(w, req)
		})
	}
	r, err := Open(Options{
		Dir: t.TempDir(), Anchor: anchor,
		Sources: []Source{
			{URL: gitsourcetest.ServeHandler(t, stalls("/info/refs")) + "/fleet", Answer: 50 * time.Millisecond},
			{URL: gitsourcetest.ServeHandler(t, stalls("/git-upload-pack")) + "/fleet", Idle: 50 * time.Millisecond},
			{URL: gitsourcetest.Serve(t, repo.Dir)},
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	err = r.Fetch(context.Background())
	require.ErrorContains(t, err, "no answer within 50ms")
	require.ErrorContains(t, err, "it stopped sending")
	rev, err := r.Verify(context.Background())
	require.NoError(t, err)
	require.Equal(t, repo.Head(), rev.Commit())
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	key := gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519")
	anchor, err := trust.ParseKeyring(map[string][]byte{"allowed_signers": []byte(key.Public())})
	require.NoError(t, err)
	arrived := make(chan struct{})
	url := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(arrived)
		<-req.Context().Done()
	}))
	r, err := Open(Options{Dir: t.TempDir(), Anchor: anchor, Sources: []Source{{URL: url + "/x"}}})
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	require.ErrorIs(t, r.Fetch(ctx), context.Canceled)
}
