package fleet_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const upkeep = head + `Profile
spec:
  layers:
    - name: platform
    - name: web
      ignore:
        - {kind: Deployment, name: web, fields: [/spec/replicas]}
        - fields: [/metadata/annotations/example.com~1seen, /webhooks/*/clientConfig/caBundle]
      health:
        - {apiVersion: example.com/v1, kind: Lamp, ready: object.status.phase == "Lit", failed: object.status.phase == "Broken"}
      probes:
        - http: http://${ADDRESS}:8080/healthz
        - {http: "https://10.0.0.1/", status: 401}
        - tcp: ${ADDRESS}:5432
  variables:
    - {name: ADDRESS, type: address, default: 10.0.0.1}
    - {name: STORE_ID, type: string}
`

func TestUpkeepOfLayers(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(map[string]string{"profiles/shop/profile.yaml": upkeep}))
	require.NoError(t, err)
	web := f.Sites[0].Profile.Layers[1]
	require.Equal(t, []fleet.Ignore{
		{Kind: "Deployment", Name: "web", Fields: []string{"/spec/replicas"}},
		{Fields: []string{"/metadata/annotations/example.com~1seen", "/webhooks/*/clientConfig/caBundle"}},
	}, web.Ignore)
	require.Equal(t, []fleet.Health{{APIVersion: "example.com/v1", Kind: "Lamp",
		Ready: `object.status.phase == "Lit"`, Failed: `object.status.phase == "Broken"`}}, web.Health)
	require.Equal(t, fleet.Probe{HTTP: "http://${ADDRESS}:8080/healthz", File: "profiles/shop/profile.yaml", Line: 13}, web.Probes[0])
	require.Equal(t, 401, web.Probes[1].Status)
	require.Equal(t, "${ADDRESS}:5432", web.Probes[2].TCP)
}

func TestUpkeepRefuses(t *testing.T) {
	t.Parallel()
	const at = "profiles/shop/profile.yaml:"
	for _, tt := range []struct{ name, old, new, want string }{
		{"a pointer to an object's name", "/spec/replicas", "/metadata/name", at + `8: "/metadata/name" points at what an object is called`},
		{"a pointer that is none", "/spec/replicas", "spec.replicas", at + `8: "spec.replicas" is not a pointer to a field`},
		{"a pointer to the kind", "/spec/replicas", "/kind", at + `8: "/kind" points at what an object is`},
		{"an expression that does not compile", `object.status.phase == "Lit"`, `object.status.phase = 1`, at + `11: ready: character 21: Syntax error`},
		{"an expression of another type", `object.status.phase == "Broken"`, `'"Broken"'`, at + `11: failed: the expression is a string, neither true nor false`},
		{"an expression that is too long", `object.status.phase == "Lit"`, strings.Repeat("x", 2100), at + `11: ready: the expression has 2100 bytes, more than 2048`},
		{"no ready", `ready: object.status.phase == "Lit",`, ``, at + `11: an entry of health lacks the field ready`},
		{"a URL of another kind", "http://${ADDRESS}:8080/healthz", "ftp://${ADDRESS}", at + `13: http is not a URL like http://10.0.0.1:8080/healthz: ftp://${ADDRESS}`},
		{"a password in a URL", "https://10.0.0.1/", "https://a:b@10.0.0.1/", at + `14: http is not a URL`},
		{"an address without a port", "${ADDRESS}:5432", "${ADDRESS}", at + `15: tcp is not an address like 10.0.0.1:5432: ${ADDRESS}`},
		{"two in one", "status: 401", `tcp: "a:1"`, at + `14: a probe has either http or tcp`},
		{"a status that is none", "401", "42", at + `14: status must be a number from 100 to 599`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(upkeep, tt.old, tt.new, 1)
			require.NotEqual(t, upkeep, text)
			_, err := fleet.Load(edited(map[string]string{"profiles/shop/profile.yaml": text}))
			require.ErrorContains(t, err, tt.want)
		})
	}
}
