package fleet_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// digested is a file system that knows its digests, and counts what is read.
type digested struct {
	fstest.MapFS
	mu   sync.Mutex
	read map[string]int
}

func (d *digested) Open(name string) (fs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read[name]++
	return d.MapFS.Open(name)
}

func (d *digested) Digest(name string) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(d.MapFS, name, func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			fmt.Fprintf(h, "%s\n%s\n", strings.TrimPrefix(file, name), d.MapFS[file].Data)
		}
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// memory is a memo.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func (m *memory) Get(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.kept[key]
	return value, ok
}

func (m *memory) Put(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[key] = value
}

func loadMemo(edits map[string]string, m *memory) (*fleet.Fleet, map[string]int, error) {
	fsys := &digested{MapFS: edited(edits), read: map[string]int{}}
	f, err := fleet.LoadWith(fsys, fleet.Options{Memo: m})
	return f, fsys.read, err
}

// sitesOf drops what is not of the sites alone.
func sitesOf(f *fleet.Fleet) []fleet.Site {
	var sites []fleet.Site
	for _, s := range f.Sites {
		site := *s
		site.Profile = nil
		site.Hosts = nil
		for _, h := range s.Hosts {
			host := *h
			host.Site = nil
			site.Hosts = append(site.Hosts, &host)
		}
		sites = append(sites, site)
	}
	return sites
}

func TestAMemoSavesReadingSitesAgain(t *testing.T) {
	t.Parallel()
	m := &memory{kept: map[string][]byte{}}
	first, read, err := loadMemo(grouped(nil), m)
	require.NoError(t, err)
	require.Positive(t, read[s1])
	require.Len(t, m.kept, 4)

	second, read, err := loadMemo(grouped(nil), m)
	require.NoError(t, err)
	require.Equal(t, sitesOf(first), sitesOf(second))
	for name, times := range read {
		if strings.Contains(name, "/s") && strings.HasPrefix(name, "sites/") {
			require.Zero(t, times, name)
		}
	}

	edits := map[string]string{"sites/s4/site.yaml": head + "Site\nspec: {variables: {STORE_ID: new}}\n"}
	third, read, err := loadMemo(grouped(edits), m)
	require.NoError(t, err)
	require.Zero(t, read[s1])
	require.Positive(t, read["sites/s4/site.yaml"])
	require.Equal(t, "new", third.Sites[3].Variables["STORE_ID"])
}

func TestAFolderMayMoveWithItsRecord(t *testing.T) {
	t.Parallel()
	m := &memory{kept: map[string][]byte{}}
	_, _, err := loadMemo(nil, m)
	require.NoError(t, err)
	moved := map[string]string{}
	for name, text := range small() {
		if rest, ok := strings.CutPrefix(name, "sites/emea/"); ok {
			moved["sites/apac/deep/"+strings.Replace(rest, "s1/", "s9/", 1)] = text
			moved[name] = ""
		}
	}
	f, read, err := loadMemo(moved, m)
	require.NoError(t, err)
	require.Zero(t, read["sites/apac/deep/s9/site.yaml"])
	require.Equal(t, "s9", f.Sites[0].Name)
	require.Equal(t, "sites/apac/deep/s9/hosts/s1-a.yaml", f.Sites[0].Hosts[0].File)
	require.Equal(t, map[string]string{"web": "sites/apac/deep/s9/addons/web"}, f.Sites[0].Overlays)
}

func TestADamagedMemoIsAsGoodAsNone(t *testing.T) {
	t.Parallel()
	good := &memory{kept: map[string][]byte{}}
	want, _, err := loadMemo(grouped(nil), good)
	require.NoError(t, err)
	some := []byte(nil)
	for _, value := range good.kept {
		some = value
	}
	for name, damage := range map[string]func([]byte) []byte{
		"empty":               func([]byte) []byte { return nil },
		"short":               func(v []byte) []byte { return v[:len(v)/2] },
		"a flipped bit":       func(v []byte) []byte { v[len(v)-3] ^= 1; return v },
		"a flipped sum":       func(v []byte) []byte { v[0] ^= 1; return v },
		"a record of another": func([]byte) []byte { return some },
		"rubbish":             func([]byte) []byte { return []byte(strings.Repeat("{", 4096)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := &memory{kept: map[string][]byte{}}
			for key, value := range good.kept {
				if v := damage([]byte(string(value))); string(v) != string(value) {
					bad.kept[key] = v
				}
			}
			damaged := maps.Clone(bad.kept)
			got, _, err := loadMemo(grouped(nil), bad)
			require.NoError(t, err)
			require.Equal(t, sitesOf(want), sitesOf(got))
			for key := range damaged {
				require.Equal(t, good.kept[key], bad.kept[key], "a good record takes its place")
			}
		})
	}
}

func TestWhatIsWrongIsNotKept(t *testing.T) {
	t.Parallel()
	m := &memory{kept: map[string][]byte{}}
	for range 2 {
		_, _, err := loadMemo(map[string]string{s1: head + "Site\nspec: {profile: 1}\n"}, m)
		require.Equal(t, []string{s1 + ":3: profile must be a string, not a number"}, messages(err))
		require.Empty(t, m.kept)
	}
}

func TestSomeSitesAloneAreLoaded(t *testing.T) {
	t.Parallel()
	edits := grouped(map[string]string{"sites/s4/site.yaml": "not even: a site", "sites/s4/hosts/a.yaml": small()["sites/emea/s1/hosts/s1-a.yaml"]})
	_, err := fleet.Load(edited(edits))
	require.Error(t, err)
	f, err := fleet.LoadWith(edited(edits), fleet.Options{Only: func(dir string) bool { return dir == "sites/emea/s1" }})
	require.NoError(t, err, "no word of the sites that are left out, nor of variables for them")
	require.Len(t, f.Sites, 1)
	require.Equal(t, map[string]any{"STORE_ID": "own", "REPLICAS": int64(5)}, f.Sites[0].Variables)
}
