package kube

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// sealedFleet has a layer with two Secrets in the namespace, encrypted to the host alone.
func sealedFleet(t *testing.T, namespace string) (fstest.MapFS, secrets.Identity) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	id, err := secrets.HostIdentity(private)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	sealed := func(file, plain, only string) string {
		rule := secrets.Rule{Recipients: []string{string(ssh.MarshalAuthorizedKey(key))}, Selection: secrets.Selection{EncryptedRegex: only}}
		data, err := secrets.Encrypt(file, []byte(plain), rule, time.Now())
		require.NoError(t, err)
		return string(data)
	}
	const head = "apiVersion: holdfast.dev/v1alpha1\nkind: "
	files := map[string]string{
		"fleet.yaml":              head + "Fleet\nmetadata: {name: shops}\n",
		"profiles/p/profile.yaml": head + "Profile\nspec: {layers: [{name: db}]}\n",
		"profiles/p/distribution/kustomization.yaml": "resources: [d.yaml]\n",
		"profiles/p/distribution/d.yaml":             head + "Distribution\nmetadata: {name: d}\nspec: {type: embedded, version: v1.36.3}\n",
		"profiles/p/addons/db/kustomization.yaml":    "namespace: " + namespace + "\nresources: [secret.yaml]\nsecretGenerator: [{name: tls, files: [tls.key], options: {disableNameSuffixHash: true}}]\n",
		"profiles/p/addons/db/secret.yaml": sealed("secret.yaml",
			"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\ndata: {bin: aHVudGVyMw==}\n", "^(data|stringData)$"),
		"profiles/p/addons/db/tls.key": sealed("tls.key", "hunter4\x00", ""),
		"sites/s/site.yaml":            head + "Site\nspec: {profile: p}\n",
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys, id
}

func testSealedSecrets(t *testing.T, s *stand) {
	fsys, id := sealedFleet(t, s.site)
	f, err := fleet.Load(fsys)
	require.NoError(t, err)
	c, err := render.Site(fsys, f.Sites[0])
	require.NoError(t, err)
	data := func() string {
		var all []string
		for name, keys := range map[string][]string{"db": {"password", "bin"}, "tls": {"tls.key"}} {
			for _, key := range keys {
				text, found, err := unstructured.NestedString(s.live(t, "v1", "Secret", name).Object, "data", key)
				require.NoError(t, err)
				require.True(t, found, key)
				plain, err := base64.StdEncoding.DecodeString(text)
				require.NoError(t, err)
				all = append(all, string(plain))
			}
		}
		return strings.Join(all, "\n")
	}
	s.mustApply(t, c.Layers[0])
	require.NotContains(t, data(), "hunter", "sealed, they are objects that an API server takes")
	opened, _, err := c.Layers[0].Open(id)
	require.NoError(t, err)
	s.mustApply(t, opened)
	for _, plain := range []string{"hunter2", "hunter3", "hunter4\x00"} {
		require.Contains(t, data(), plain)
	}
	require.Empty(t, s.mustApply(t, opened))
}
