package gitsource_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// mirrored is a fleet that is published to a folder.
type mirrored struct {
	*fleet
	dir string
}

func newMirrored(t *testing.T) *mirrored {
	t.Helper()
	m := &mirrored{newFleet(t), filepath.Join(t.TempDir(), "mirror")}
	m.publish(t)
	return m
}

func (m *mirrored) publish(t *testing.T) gitsource.Published {
	t.Helper()
	p, err := gitsource.PublishMirror(context.Background(), m.dir, m.Dir, "main")
	require.NoError(t, err)
	require.Equal(t, m.Head(), p.Tip)
	return p
}

func (m *mirrored) options(t *testing.T, url string) gitsource.Options {
	o := m.fleet.options(t)
	o.Sources = []gitsource.Source{{URL: url, Mirror: true, Idle: 2 * time.Second}}
	return o
}

func TestAStaticMirrorBehindNginxIsFollowed(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	nginx := gitsourcetest.NewNginx(t, m.dir, "")
	r := open(t, m.options(t, nginx.URL))
	require.Equal(t, m.Head(), poll(t, r).Commit())
	require.Len(t, nginx.Log(2), 2, "the head and the base")
	require.Equal(t, m.Head(), poll(t, r).Commit())
	require.Equal(t, []string{"/head.json 304 -"}, nginx.Log(3)[2:], "a poll with nothing new")

	for n := range 3 {
		m.commit(map[string]string{"a": fmt.Sprint(n)})
		require.Len(t, m.publish(t).Files, 1)
		require.Empty(t, m.publish(t).Files, "published already")
	}
	require.Equal(t, m.Head(), poll(t, r).Commit())
	require.Len(t, nginx.Log(7), 7, "the head and three increments")
	other := open(t, m.options(t, nginx.URL))
	require.Equal(t, m.Head(), poll(t, other).Commit(), "first contact by a base and increments")
	require.Len(t, nginx.Log(12), 12)
	poll(t, r)
	require.Equal(t, "/head.json 304 -", nginx.Log(13)[12])
}

func TestAStaticMirrorStartsANewBaseInTime(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	bases := 0
	for n := range 70 {
		m.commit(map[string]string{"a": fmt.Sprint(n)})
		if len(m.publish(t).Files) == 2 {
			bases++
		}
	}
	require.Equal(t, 1, bases)
	server := gitsourcetest.ServeHandler(t, http.FileServer(http.Dir(m.dir)))
	r := open(t, m.options(t, server))
	require.Equal(t, m.Head(), poll(t, r).Commit())
	listed := 0
	data, err := os.ReadFile(filepath.Join(m.dir, "head.json"))
	require.NoError(t, err)
	for _, line := range strings.Split(string(data), "\n") {
		if strings.Contains(line, `"sha256"`) {
			listed++
		}
	}
	require.Equal(t, 71, listed, "70 increments for hosts that lag, and one base")
}

func TestAStaticMirrorOfARewrittenHistoryIsRefused(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.commit(map[string]string{"a": "1"})
	m.publish(t)
	server := gitsourcetest.ServeHandler(t, http.FileServer(http.Dir(m.dir)))
	r := open(t, m.options(t, server))
	floor := poll(t, r).Commit()
	m.Git("reset", "-q", "--hard", "HEAD^")
	m.commit(map[string]string{"a": "2"})
	m.publish(t)
	rev, refused := pollRefused(t, r, gitsource.ErrRewritten)
	require.Equal(t, floor, rev.Commit())
	require.Equal(t, server, refused.Source)
}

// cutting serves a folder, and cuts every answer off after some bytes.
func cutting(dir string, after int64, ranges bool, served *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(req.URL.Path)))
		if err != nil || strings.HasSuffix(req.URL.Path, "head.json") {
			http.FileServer(http.Dir(dir)).ServeHTTP(w, req)
			return
		}
		from := int64(0)
		if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from); err == nil && ranges {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		} else {
			from = 0
		}
		w.Header().Set("Content-Length", fmt.Sprint(int64(len(data))-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		n, _ := io.CopyN(w, strings.NewReader(string(data[from:])), after)
		served.Add(n)
	})
}

func TestADownloadResumesAfterCuts(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	big := make([]byte, 100_000)
	for i := range big {
		big[i] = byte(i * i >> 3)
	}
	m.commit(map[string]string{"big": string(big)})
	m.publish(t)
	var served atomic.Int64
	server := gitsourcetest.ServeHandler(t, cutting(m.dir, 1000, true, &served))
	r := open(t, m.options(t, server))
	require.Equal(t, m.Head(), poll(t, r).Commit())
	var size int64
	bundles, err := filepath.Glob(filepath.Join(m.dir, "*.bundle"))
	require.NoError(t, err)
	for _, bundle := range bundles {
		info, err := os.Stat(bundle)
		require.NoError(t, err)
		size += info.Size()
	}
	require.LessOrEqual(t, served.Load(), size, "no byte is sent twice")
}

func TestADownloadResumesAfterARestart(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	nginx := gitsourcetest.NewNginx(t, m.dir, "")
	o := m.options(t, nginx.URL)
	bundles, err := filepath.Glob(filepath.Join(m.dir, "*.bundle"))
	require.NoError(t, err)
	require.Len(t, bundles, 1)
	data, err := os.ReadFile(bundles[0])
	require.NoError(t, err)
	half := filepath.Join(o.Dir, fmt.Sprintf("download-%.6x", sha256.Sum256([]byte(nginx.URL))), filepath.Base(bundles[0]))
	require.NoError(t, os.MkdirAll(filepath.Dir(half), 0o700))
	require.NoError(t, os.WriteFile(half, data[:len(data)/2], 0o600))
	require.NoError(t, os.WriteFile(half+".old", data, 0o600))
	r := open(t, o)
	require.Equal(t, m.Head(), poll(t, r).Commit())
	require.Equal(t, fmt.Sprintf("/%s 206 bytes=%d-", filepath.Base(half), len(data)/2), nginx.Log(2)[1])
	left, err := filepath.Glob(filepath.Join(o.Dir, "download-*", "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// Long, because it is one table.
func TestALyingStaticMirrorBringsNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		lie  func(t *testing.T, m *mirrored, bundle string) http.Handler
		want string
	}{
		{"a head that is no JSON", func(t *testing.T, m *mirrored, _ string) http.Handler {
			require.NoError(t, os.WriteFile(filepath.Join(m.dir, "head.json"), []byte("<html>"), 0o600))
			return nil
		}, "is no head of a static mirror"},
		{"a head that never ends", func(*testing.T, *mirrored, string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				for req.Context().Err() == nil {
					w.Write([]byte(strings.Repeat(" ", 4096)))
				}
			})
		}, "is larger than"},
		{"a bundle with other bytes", func(t *testing.T, _ *mirrored, bundle string) http.Handler {
			data, err := os.ReadFile(bundle)
			require.NoError(t, err)
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(bundle, data, 0o600))
			return nil
		}, "its bytes are not those that the head says"},
		{"a bundle that is short", func(t *testing.T, _ *mirrored, bundle string) http.Handler {
			require.NoError(t, os.Truncate(bundle, 100))
			return nil
		}, "100 of"},
		{"a bundle that is not there", func(t *testing.T, _ *mirrored, bundle string) http.Handler {
			require.NoError(t, os.Remove(bundle))
			return nil
		}, "404 Not Found"},
		{"a bundle that stalls", func(_ *testing.T, m *mirrored, _ string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if strings.HasSuffix(req.URL.Path, ".bundle") {
					w.Header().Set("Content-Length", "100000")
					w.Write([]byte("x"))
					w.(http.Flusher).Flush()
					<-req.Context().Done()
					return
				}
				http.FileServer(http.Dir(m.dir)).ServeHTTP(w, req)
			})
		}, "it stopped sending"},
		{"another tip than its bundles have", func(t *testing.T, m *mirrored, _ string) http.Handler {
			file := filepath.Join(m.dir, "head.json")
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(data), m.Head(), strings.Repeat("1", 40))), 0o600))
			return nil
		}, "its files do not hold"},
		{"a size of a terabyte", func(t *testing.T, m *mirrored, _ string) http.Handler {
			file := filepath.Join(m.dir, "head.json")
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(data), `"size": `, `"size": 1000000000`, 1)), 0o600))
			return nil
		}, "are allowed"},
		{"a redirect to a file", func(*testing.T, *mirrored, string) http.Handler {
			return http.RedirectHandler("file:///etc/passwd", http.StatusFound)
		}, "unsupported"},
		{"304 to a request without a condition", func(*testing.T, *mirrored, string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
		}, "304 Not Modified"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMirrored(t)
			bundles, err := filepath.Glob(filepath.Join(m.dir, "*.bundle"))
			require.NoError(t, err)
			handler := tt.lie(t, m, bundles[0])
			if handler == nil {
				handler = http.FileServer(http.Dir(m.dir))
			}
			o := m.options(t, gitsourcetest.ServeHandler(t, handler))
			o.Sources[0].Idle = 200 * time.Millisecond
			o.Sources = append(o.Sources, gitsource.Source{URL: m.url})
			r := open(t, o)
			err = r.Fetch(context.Background())
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "fetch "+o.Sources[0].URL)
			rev, err := r.Verify(context.Background())
			require.NoError(t, err)
			require.Equal(t, m.Head(), rev.Commit(), "the honest source is heard")
		})
	}
}

func TestAStaticMirrorCarriesApprovals(t *testing.T) {
	t.Parallel()
	g := newTeam(t)
	m := &mirrored{g.fleet, filepath.Join(t.TempDir(), "mirror")}
	m.publish(t)
	server := gitsourcetest.ServeHandler(t, http.FileServer(http.Dir(m.dir)))
	o := m.options(t, server)
	r := open(t, o)
	before := poll(t, r).Commit()
	changed := g.change()
	m.publish(t)
	rev, _ := pollRefused(t, r, trust.ErrTooFew)
	require.Equal(t, before, rev.Commit())
	g.approve(g.bob, changed)
	require.Len(t, m.publish(t).Files, 1, "only a tag is new")
	require.Empty(t, m.publish(t).Files)
	require.Equal(t, changed, poll(t, r).Commit())
	require.NoError(t, r.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "mirror")))
	require.Equal(t, changed, poll(t, open(t, o)).Commit(), "all again")
}
