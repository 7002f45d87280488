package fleet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestParseDistribution(t *testing.T) {
	t.Parallel()
	got, err := fleet.ParseDistribution([]byte(`{"apiVersion":"holdfast.dev/v1alpha1","kind":"Distribution","metadata":{"name":"x","labels":{"a":"b"}},"spec":{"type":"embedded","version":"v1.36.3"}}`))
	require.NoError(t, err)
	require.Equal(t, fleet.Distribution{Name: "x", Type: "embedded", Version: "v1.36.3", PodCIDR: "10.244.0.0/24", ServiceCIDR: "10.96.0.0/16", APIPort: 6443, MaxUnavailable: 1}, got)
	got, err = fleet.ParseDistribution([]byte(head + "Distribution\nmetadata:\n  name: x\nspec: {type: k3s, version: v1.36.3+k3s1, disable: [traefik, servicelb]}\n"))
	require.NoError(t, err)
	require.Equal(t, fleet.Distribution{Name: "x", Type: "k3s", Version: "v1.36.3+k3s1", Disable: []string{"traefik", "servicelb"}, PodCIDR: "10.42.0.0/16", ServiceCIDR: "10.43.0.0/16", APIPort: 6443, MaxUnavailable: 1}, got)
	for _, tt := range []struct{ name, spec, want string }{
		{"another type", "{type: k9s, version: v1.36.3}", "distribution:5: unknown type of distribution k9s"},
		{"no version", "{type: embedded}", "distribution:5: spec lacks the field version"},
		{"a version without v", "{type: embedded, version: 1.36.3}", "distribution:5: \"1.36.3\" is not a version of type embedded"},
		{"a version of another type", "{type: k3s, version: v1.36.3}", "distribution:5: \"v1.36.3\" is not a version of type k3s"},
		{"a version with another's addition", "{type: embedded, version: v1.36.3+k3s1}", "distribution:5: \"v1.36.3+k3s1\" is not a version of type embedded"},
		{"nothing to disable", "{type: embedded, version: v1.36.3, disable: [traefik]}", "distribution:5: disable is not of type embedded"},
		{"an unknown part", "{type: k3s, version: v1.36.3+k3s1, disable: [traefik, trafik]}", "distribution:5: \"trafik\" is nothing that type k3s could disable"},
		{"a port that cannot be", "{type: rke2, version: v1.36.3+rke2r1, apiPort: 6444}", "distribution: the API of type rke2 listens on port 6443 alone"},
		{"an addition without its dot", "{type: k0s, version: v1.36.3+k0s0}", "distribution:5: \"v1.36.3+k0s0\" is not a version of type k0s"},
		{"a part that the cluster needs", "{type: k0s, version: v1.36.3+k0s.0, disable: [kube-scheduler]}", "distribution:5: \"kube-scheduler\" is nothing that type k0s could disable"},
		{"a repository that nobody asks", "{type: k3s, version: v1.36.3+k3s1, imageRepository: example.com/k}", "distribution: imageRepository is of type kubeadm alone"},
		{"an address for a network", "{type: embedded, version: v1.36.3, podCIDR: 10.0.0.1/24}", "distribution:5: podCIDR \"10.0.0.1/24\" is not a network; 10.0.0.0/24 is"},
		{"networks that overlap", "{type: embedded, version: v1.36.3, podCIDR: 10.96.1.0/24}", "distribution: podCIDR 10.96.1.0/24 and serviceCIDR 10.96.0.0/16 overlap"},
		{"a port out of range", "{type: embedded, version: v1.36.3, apiPort: 70000}", "distribution:5: apiPort must be a number from 1 to 65535"},
		{"a port in quotes", "{type: embedded, version: v1.36.3, apiPort: \"6443\"}", "distribution:5: apiPort must be a number from 1 to 65535"},
		{"an unknown field", "{type: embedded, version: v1.36.3, pods: 1}", "distribution:5: unknown field pods in spec"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.ParseDistribution([]byte(head + "Distribution\nmetadata:\n  name: x\nspec: " + tt.spec + "\n"))
			require.Equal(t, []string{tt.want}, messages(err))
		})
	}
}

func TestAMissingFieldIsNamedWithItsValues(t *testing.T) {
	t.Parallel()
	_, err := fleet.ParseDistribution([]byte(head + "Distribution\nmetadata:\n  name: x\nspec: {version: v1.36.3}\n"))
	require.Equal(t, "add it: one of embedded, kubeadm, k3s, rke2, k0s", fleet.Problems(err)[0].Tip)
	_, err = fleet.ParseDistribution([]byte(head + "Distribution\nmetadata:\n  name: x\nspec: {type: embedded}\n"))
	require.Equal(t, "add it", fleet.Problems(err)[0].Tip)
}

func TestANumberThatIsNoneSaysWhy(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"70000": "70000 is none of them", "6443.5": "write a whole number, without quotes", `"6443"`: "write a whole number, without quotes"} {
		_, err := fleet.ParseDistribution([]byte(head + "Distribution\nmetadata:\n  name: x\nspec: {type: embedded, version: v1.36.3, apiPort: " + value + "}\n"))
		require.Equal(t, want, fleet.Problems(err)[0].Tip)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	want := fleet.Lock{Distribution: map[string]string{"kubernetes": digest}, Images: map[string]string{"holdfast.dev/b:1": digest, "holdfast.dev/a:1": digest}}
	data, err := want.Marshal()
	require.NoError(t, err)
	got, err := fleet.ParseLock("content.lock", data)
	require.NoError(t, err)
	require.Equal(t, want, got)
	again, err := got.Marshal()
	require.NoError(t, err)
	require.Equal(t, string(data), string(again))

	empty, err := fleet.Lock{}.Marshal()
	require.NoError(t, err)
	_, err = fleet.ParseLock("content.lock", empty)
	require.NoError(t, err)

	for name, text := range map[string]string{
		"not a lock":       "x: y",
		"upper-case hex":   head + "ContentLock\nspec: {images: {a: \"sha256:" + strings.Repeat("0A", 32) + "\"}}",
		"an unknown field": head + "ContentLock\nspec: {image: {}}",
		"too large":        strings.Repeat("#", fleet.MaxFileSize+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.ParseLock("content.lock", []byte(text))
			require.NotEmpty(t, messages(err))
		})
	}
}

// FuzzLoad gives one text to each kind of file of a fleet.
func FuzzLoad(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"fleet.yaml", "profiles/shop/profile.yaml", "profiles/shop/content.lock", "sites/emea/group.yaml", "agent.yaml", "sites/emea/s1/site.yaml", "sites/emea/s1/hosts/s1-a.yaml"} {
			fsys := edited(nil)
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
			got, err := fleet.Load(fsys)
			if err == nil {
				require.NotNil(t, got)
				continue
			}
			require.NotEmpty(t, fleet.Problems(err), "%v", err)
		}
	})
}

func FuzzParseDistribution(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := fleet.ParseDistribution(data); err == nil {
			require.NotEmpty(t, d.Name)
			require.Contains(t, fleet.DistributionTypes, d.Type)
		}
	})
}

func FuzzParseLock(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := fleet.ParseLock("content.lock", data)
		if err != nil {
			return
		}
		text, err := lock.Marshal()
		require.NoError(t, err)
		again, err := fleet.ParseLock("content.lock", text)
		require.NoError(t, err)
		require.Equal(t, len(lock.Images), len(again.Images))
		require.Equal(t, len(lock.Distribution), len(again.Distribution))
	})
}

func TestCorpusIsNotEmpty(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FuzzLoad", "FuzzParseAgent", "FuzzParseDistribution", "FuzzParseLock", "FuzzSetYAML"} {
		seeds, err := os.ReadDir(filepath.Join("testdata/fuzz", name))
		require.NoError(t, err)
		require.NotEmpty(t, seeds)
	}
}

func FuzzParseAgent(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := fleet.ParseAgent("agent.yaml", data); err == nil {
			require.NotEmpty(t, a.Version)
			require.NotEmpty(t, a.Digests)
		}
	})
}
