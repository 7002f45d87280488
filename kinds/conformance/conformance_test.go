package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/resource"
	"github.com/yannh/kubeconform/pkg/validator"

	"github.com/holdfast-fleet/holdfast/kinds"
)

const (
	version = "v1.36.3"
	ofAPI   = "v0.36.3"
)

// judges are ours and kubeconform, with what both know of a version of Kubernetes.
type judges struct {
	ours   *kinds.Known
	theirs validator.Validator
}

func newJudges(t *testing.T, definitions ...json.RawMessage) judges {
	t.Helper()
	dir := t.TempDir()
	writeSchemas(t, filepath.Join(download(t, "k8s.io/kubernetes@"+version), "api", "openapi-spec", "swagger.json"), dir)
	for _, d := range definitions {
		writeDefinition(t, d, dir)
	}
	var releases kinds.Releases
	known, err := releases.Of(version)
	require.NoError(t, err)
	require.True(t, known.Exact(version))
	theirs, err := validator.New([]string{dir + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"}, validator.Opts{Strict: true, KubernetesVersion: strings.TrimPrefix(version, "v")})
	require.NoError(t, err)
	return judges{known.With(definitions), theirs}
}

// verdict is what both say of an object; empty: it is good.
type verdict struct{ ours, theirs string }

func (v verdict) String() string { return fmt.Sprintf("ours: %q, kubeconform: %q", v.ours, v.theirs) }

func (v verdict) agree() bool { return (v.ours == "") == (v.theirs == "") }

func (j judges) judge(raw []byte) verdict {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return verdict{err.Error(), err.Error()}
	}
	var v verdict
	for _, f := range j.ours.Check(kinds.Object{APIVersion: head.APIVersion, Kind: head.Kind, JSON: raw}) {
		v.ours += f.Msg + "; "
	}
	if r := j.theirs.ValidateResource(resource.Resource{Bytes: raw}); r.Status != validator.Valid {
		v.theirs = fmt.Sprint(r.Err)
	}
	return v
}

// fixtures are objects that Kubernetes keeps of each kind, with every field set.
func fixtures(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(download(t, "k8s.io/api@"+ofAPI), "testdata", "HEAD", "*.json"))
	require.NoError(t, err)
	objects := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		objects[strings.TrimSuffix(filepath.Base(file), ".json")] = data
	}
	require.Greater(t, len(objects), 150)
	return objects
}

func TestGoodObjectsOfEachKind(t *testing.T) {
	t.Parallel()
	j := newJudges(t)
	good := 0
	answers := []string{"core.v1.APIGroup", "core.v1.APIVersions", "core.v1.Status"} // of an API server, which nobody declares
	for name, raw := range fixtures(t) {
		v := j.judge(raw)
		if slices.Contains(answers, name) {
			require.Equal(t, "", v.theirs, name)
			continue
		}
		if !v.agree() {
			require.Equal(t, aNull, explained(v), "%s: %s", name, v) // a time that nobody set
		}
		if v.ours == "" {
			good++
		}
	}
	t.Logf("%d good objects", good)
	require.Greater(t, good, 90, "kinds that are served; others are of versions that went")
}

// TestBadObjects breaks each object in many ways, one at a time. Each difference is
// explained, and each explanation needed.
func TestBadObjects(t *testing.T) {
	t.Parallel()
	j := newJudges(t)
	var mu sync.Mutex
	good, bad, differ := map[string]int{}, map[string]int{}, map[string]int{}
	each(fixtures(t), func(name string, raw []byte) {
		if j.judge(raw).ours != "" {
			return
		}
		for _, b := range breakages(raw, 12) {
			v := j.judge(b.raw)
			mu.Lock()
			switch why := explained(v); {
			case v.agree() && v.ours == "":
				good[b.what]++
			case v.agree():
				bad[b.what]++
			case why != "":
				differ[why]++
			default:
				t.Errorf("%s: %s: %s", name, b.where, v)
			}
			mu.Unlock()
		}
	})
	for _, w := range ways() {
		t.Logf("%-28s both take it %5d times, both refuse it %5d times", w.what, good[w.what], bad[w.what])
		require.Greater(t, good[w.what]+bad[w.what], 25, w.what)
	}
	for _, why := range []string{aQuantity, aRange, aByte, aNull} {
		t.Logf("differ %4d times: %s", differ[why], why)
		require.NotZero(t, differ[why], "nothing needs to be explained by: %s", why)
	}
}

func each(objects map[string][]byte, do func(name string, raw []byte)) {
	names := make(chan string)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for name := range names {
				do(name, objects[name])
			}
		})
	}
	for name := range objects {
		names <- name
	}
	close(names)
	wg.Wait()
}
