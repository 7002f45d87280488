package render

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const probing = head + `Profile
spec:
  layers:
    - name: web
      ignore: [{fields: [/data/text]}]
      health: [{apiVersion: v1, kind: ConfigMap, ready: "object.data.list == []"}]
      probes:
        - http: http://${ADDRESS:=10.0.0.1}:8080/
        - tcp: a:${PORT}
  variables:
    - {name: ADDRESS, type: address}
    - {name: PORT, type: integer, default: 80}
`

func TestProbesHoldTheValuesOfASite(t *testing.T) {
	t.Parallel()
	fsys := edited(map[string]string{
		"profiles/p/profile.yaml": probing,
		"sites/s3/site.yaml":      head + "Site\nspec:\n  profile: p\n  variables: {ADDRESS: 10.0.0.3}\n",
	})
	one, err := site(t, fsys, "s1")
	require.NoError(t, err)
	require.Equal(t, "http://10.0.0.1:8080/", one.Layers[0].Probes[0].HTTP)
	require.Equal(t, "a:80", one.Layers[0].Probes[1].TCP)
	require.Equal(t, []fleet.Ignore{{Fields: []string{"/data/text"}}}, one.Layers[0].Ignore)
	require.Len(t, one.Layers[0].Health, 1)
	three, err := site(t, fsys, "s3")
	require.NoError(t, err)
	require.Equal(t, "http://10.0.0.3:8080/", three.Layers[0].Probes[0].HTTP)
	require.Equal(t, one.Layers[0].Objects, three.Layers[0].Objects)
	require.NotEqual(t, one.Layers[0].Digest, three.Layers[0].Digest, "what is asked for is part of a layer")

	r := New(fsys, Options{})
	defer r.Close()
	s, err := r.Sources(load(t, fsys).Sites[0], "web")
	require.NoError(t, err)
	require.Equal(t, []string{"ADDRESS"}, s.Variables["probe http://${ADDRESS:=10.0.0.1}:8080/"])
	require.Equal(t, []string{"PORT"}, s.Variables["probe a:${PORT}"])
}

func TestProbesSayWhereTheyAreWrong(t *testing.T) {
	t.Parallel()
	fsys := edited(nil)
	fsys["profiles/p/profile.yaml"].Data = []byte(head + "Profile\nspec:\n  layers:\n    - name: web\n      probes:\n        - tcp: \"a:${PORT}\"\n        - tcp: \"${HOST}:80\"\n" +
		"        - http: \"http://${PATH}/\"\n  variables: [{name: PORT, type: integer}, {name: PATH, type: string, default: \"a b\"}]\n")
	_, err := site(t, fsys, "s1")
	require.Equal(t, []string{
		"profiles/p/profile.yaml:7: variable PORT has no value (site s1, a probe of layer web)",
		"profiles/p/profile.yaml:8: variable HOST is not declared by profile p (site s1, a probe of layer web)",
		"profiles/p/profile.yaml:9: http is not a URL like http://10.0.0.1:8080/healthz: http://a b/ (site s1, a probe of layer web)",
	}, messages(err))
}
