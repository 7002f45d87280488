package render

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// hostKey is a host's key, for what is encrypted to it.
func hostKey(t testing.TB, seed byte) (secrets.Identity, string) {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	id, err := secrets.HostIdentity(private)
	require.NoError(t, err)
	public, err := ssh.NewPublicKey(private.Public())
	require.NoError(t, err)
	return id, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

func sealedFile(t testing.TB, file, plain, onlyKeys, to string) string {
	t.Helper()
	rule := secrets.Rule{Recipients: []string{to}, Selection: secrets.Selection{EncryptedRegex: onlyKeys}}
	data, err := secrets.Encrypt(file, []byte(plain), rule, time.Unix(1_800_000_000, 0))
	require.NoError(t, err)
	return string(data)
}

const (
	secretHead = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: default\n"
	inSecrets  = "^(data|stringData)$"
)

// sealedFleet has secrets in each of the ways that a kustomization takes them.
func sealedFleet(t testing.TB, to string) map[string]string {
	return map[string]string{
		web + "kustomization.yaml": `resources: [one.yaml, secret.yaml]
namespace: shop
patches: [path: more.yaml]
secretGenerator:
  - name: files
    files: [tls.key, settings.json, plain.txt]
  - name: lines
    envs: [lines.env]
`,
		web + "secret.yaml":   sealedFile(t, "secret.yaml", secretHead+"stringData:\n  password: hunter2 ${TEXT}\n  empty: \"\"\ndata:\n  bin: aHVudGVyMw==\n", inSecrets, to),
		web + "more.yaml":     sealedFile(t, "more.yaml", secretHead+"stringData:\n  second: \"hunter4\\n\\\"quoted\\\"\"\n", inSecrets, to),
		web + "tls.key":       sealedFile(t, "tls.key", "-----BEGIN hunter5-----\n\x00\xff", "", to),
		web + "settings.json": sealedFile(t, "settings.json", `{"user":"shop","password":"hunter6","port":5432}`, "^p", to),
		web + "plain.txt":     "as it is",
		web + "lines.env":     sealedFile(t, "lines.env", "TOKEN=hunter7\nURL=x\n", "", to),
	}
}

func TestASecretIsCarriedSealedAndOpenedWhole(t *testing.T) {
	t.Parallel()
	id, to := hostKey(t, 'a')
	fsys := edited(sealedFleet(t, to))
	desired, err := Host(fsys, load(t, fsys).Sites[0].Hosts[0])
	require.NoError(t, err)
	layer := desired.Cluster.Layers[0]

	text, err := json.Marshal(desired)
	require.NoError(t, err)
	for _, plain := range []string{"hunter", base64.StdEncoding.EncodeToString([]byte("hunter7"))} {
		require.NotContains(t, string(text), plain)
	}
	for _, sealed := range regexp.MustCompile(`holdfast/sealed/[^"]*`).FindAllString(objectsOf(desired.Cluster), -1) {
		_, err := base64.StdEncoding.DecodeString(sealed)
		require.NoError(t, err, "an API server takes %s for the data of a Secret", sealed)
	}

	opened, hidden, err := layer.Open(id)
	require.NoError(t, err)
	require.Empty(t, opened.Digest)
	require.Empty(t, opened.Sealed)
	require.Contains(t, hidden, "hunter2 ${TEXT}", "a secret is no variable")
	got := map[string]map[string]string{}
	for _, raw := range opened.Objects {
		var o struct {
			Kind             string
			Metadata         struct{ Name, Namespace string }
			Data, StringData map[string]string
		}
		require.NoError(t, json.Unmarshal(raw, &o))
		if o.Kind == "Secret" {
			name, _, _ := strings.Cut(o.Metadata.Name, "-")
			require.Equal(t, "shop", o.Metadata.Namespace, "kustomize changes what is around it, and the MAC is still that of the file")
			got[name] = maps.Clone(o.StringData)
			if got[name] == nil {
				got[name] = map[string]string{}
			}
			for key, value := range o.Data {
				plain, err := base64.StdEncoding.DecodeString(value)
				require.NoError(t, err)
				got[name][key] = string(plain)
			}
		}
	}
	settings := "{\n\t\"user\": \"shop\",\n\t\"password\": \"hunter6\",\n\t\"port\": 5432\n}\n"
	require.Equal(t, map[string]map[string]string{
		"db":    {"password": "hunter2 ${TEXT}", "empty": "", "bin": "hunter3", "second": "hunter4\n\"quoted\""},
		"files": {"tls.key": "-----BEGIN hunter5-----\n\x00\xff", "settings.json": settings, "plain.txt": "as it is"},
		"lines": {"TOKEN": "hunter7", "URL": "x"},
	}, got)
}

func TestHeadquartersWithoutAKeyDigestsSecretsAsHostsDo(t *testing.T) {
	t.Parallel()
	_, to := hostKey(t, 'a')
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, edited(sealedFleet(t, to))))
	tree := memo.Dir(dir)
	f := load(t, tree)
	want, err := Host(tree, f.Sites[0].Hosts[0])
	require.NoError(t, err)
	store, err := memo.Open(t.TempDir(), "1", 1<<30)
	require.NoError(t, err)
	defer store.Close()
	for range 2 {
		r := New(tree, Options{Memo: store, Worker: workerCommand})
		got, err := r.Host(f.Sites[0].Hosts[0])
		require.NoError(t, err)
		require.Equal(t, want, got)
		r.Close()
	}
}

func TestADigestFollowsTheCiphertext(t *testing.T) {
	t.Parallel()
	_, to := hostKey(t, 'a')
	files := sealedFleet(t, to)
	before, err := site(t, edited(files), "s1")
	require.NoError(t, err)
	files[web+"tls.key"] = sealedFile(t, "tls.key", "-----BEGIN hunter5-----\n\x00\xff", "", to)
	after, err := site(t, edited(files), "s1")
	require.NoError(t, err)
	require.NotEqual(t, before.Digest, after.Digest, "encrypted anew, it is another document")
}

func TestWhatCannotBeOpenedIsNotApplied(t *testing.T) {
	t.Parallel()
	id, to := hostKey(t, 'a')
	stranger, _ := hostKey(t, 'b')
	files := sealedFleet(t, to)
	c, err := site(t, edited(files), "s1")
	require.NoError(t, err)
	_, _, err = c.Layers[0].Open(stranger)
	require.ErrorIs(t, err, secrets.ErrNoIdentity)

	files[web+"secret.yaml"] = strings.Replace(files[web+"secret.yaml"], "name: db", "name: dc", 1)
	files[web+"more.yaml"] = strings.Replace(files[web+"more.yaml"], "name: db", "name: dc", 1)
	c, err = site(t, edited(files), "s1")
	require.NoError(t, err, "headquarters has no key to tell")
	_, _, err = c.Layers[0].Open(id)
	require.ErrorIs(t, err, secrets.ErrMAC, "what is not encrypted is under the MAC as well")
}

func TestSecretsInWrongPlacesAreRefused(t *testing.T) {
	t.Parallel()
	_, to := hostKey(t, 'a')
	const secret, resources = web + "secret.yaml", "resources: [one.yaml, secret.yaml]\n"
	for _, tt := range []struct {
		name          string
		kustomization string
		file, text    string
		want          string
	}{
		{"all of an object", resources, secret, sealedFile(t, "s.yaml", secretHead+"stringData: {a: b}\n", "", to), "is encrypted, and decides what the object is"},
		{"a label", resources, secret, sealedFile(t, "s.yaml", secretHead+"  labels: {a: b}\n", "^labels$", to), "metadata is encrypted, and decides what the object is"},
		{"a number", resources, secret, sealedFile(t, "s.yaml", secretHead+"stringData: {port: 5432}\n", inSecrets, to), "the value of stringData.port is not text"},
		{"a ConfigMap", resources, secret, sealedFile(t, "s.yaml", strings.Replace(secretHead, "Secret", "ConfigMap", 1)+"data: {a: b}\n", inSecrets, to), "ConfigMap default/db: data would hold a secret"},
		{"a generated ConfigMap", "resources: [one.yaml]\nconfigMapGenerator: [{name: c, files: [a.key]}]\n", web + "a.key", sealedFile(t, "a.key", "hunter2", "", to), "would hold a secret"},
		{"lines in another form", "secretGenerator: [{name: c, envs: [a.yaml]}]\n", web + "a.yaml", sealedFile(t, "a.yaml", "a: b\n", "", to), "read for its lines, and encrypted in another form"},
		{"objects in another form", "resources: [one.yaml, secret.txt]\n", web + "secret.txt", sealedFile(t, "secret.txt", configMap, "", to), "read for its objects, and encrypted in another form"},
		{"read in two ways", "resources: [one.yaml, secret.yaml]\nsecretGenerator: [{name: c, files: [secret.yaml]}]\n", secret,
			sealedFile(t, "s.yaml", secretHead+"stringData: {a: b}\n", inSecrets, to), "read both as a file and for its values"},
		{"a broken one", resources, secret, strings.Replace(sealedFile(t, "s.yaml", secretHead+"stringData: {a: b}\n", inSecrets, to), "mac:", "cam:", 1), "no mac"},
		{"a stand-in for nothing", "resources: [one.yaml, secret.yaml, other.yaml]\n", web + "other.yaml",
			strings.Replace(secretHead, "db", "other", 1) + "stringData: {a: holdfast/sealed/" + strings.Repeat("0", 64) + "}\n", "stands for nothing that the layer reads"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{web + "kustomization.yaml": tt.kustomization, secret: sealedFile(t, "s.yaml", secretHead+"stringData: {c: d}\n", inSecrets, to)}
			files[tt.file] = tt.text
			_, err := site(t, edited(files), "s1")
			require.ErrorContains(t, err, tt.want)
			require.Contains(t, err.Error(), "profiles/p/addons/web/")
		})
	}
}

// sealedNode is a distribution whose password is a patch that is encrypted.
func sealedNode(t testing.TB, to, onlyKeys, patch string) map[string]string {
	const d = "profiles/p/distribution/"
	return map[string]string{
		d + "kustomization.yaml": "resources: [d.yaml]\npatches: [path: login.yaml]\n",
		d + "d.yaml": head + "Distribution\nmetadata:\n  name: d\nspec:\n  type: k3s\n  version: v1.36.3+k3s1\n  host:\n    registries:\n" +
			"      mirrors: {docker.io: ['https://mirror.example.com']}\n      logins: {mirror.example.com: {username: fleet}}\n",
		d + "login.yaml": sealedFile(t, "login.yaml", head+"Distribution\nmetadata:\n  name: d\nspec:\n"+patch, onlyKeys, to),
	}
}

const loginPatch = "  host:\n    registries:\n      logins:\n        mirror.example.com:\n          password: hunter2\n"

func TestAPasswordOfALoginIsCarriedSealed(t *testing.T) {
	t.Parallel()
	id, to := hostKey(t, 'a')
	other, _ := hostKey(t, 'b')
	fsys := edited(sealedNode(t, to, "^password$", loginPatch))
	desired, err := Host(fsys, load(t, fsys).Sites[0].Hosts[0])
	require.NoError(t, err)
	all, err := json.Marshal(desired)
	require.NoError(t, err)
	require.NotContains(t, string(all), "hunter2")
	_, _, err = desired.Node.Open(other)
	require.Error(t, err)
	node, hidden, err := desired.Node.Open(id)
	require.NoError(t, err)
	require.Equal(t, []string{"hunter2"}, hidden)
	d, err := fleet.ParseDistribution(node.Distribution)
	require.NoError(t, err)
	require.Equal(t, fleet.Login{Username: "fleet", Password: "hunter2"}, d.Machine.Logins["mirror.example.com"])

	again := edited(sealedNode(t, to, "^password$", strings.Replace(loginPatch, "hunter2", "hunter3", 1)))
	changed, err := Host(again, load(t, again).Sites[0].Hosts[0])
	require.NoError(t, err)
	require.NotEqual(t, desired.Node.Digest, changed.Node.Digest, "another password is another node")
}

func TestWhatOfADistributionMayBeEncrypted(t *testing.T) {
	t.Parallel()
	_, to := hostKey(t, 'a')
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a password in the clear", func() map[string]string {
			files := sealedNode(t, to, "^password$", loginPatch)
			files["profiles/p/distribution/login.yaml"] = head + "Distribution\nmetadata:\n  name: d\nspec:\n" + loginPatch
			return files
		}(), "the password for mirror.example.com is not encrypted"},
		{"a user, too", sealedNode(t, to, "^(username|password)$", strings.Replace(loginPatch, "password:", "username: shop\n          password:", 1)), "something of the Distribution is encrypted that is no password of a login"},
		{"the version", map[string]string{"profiles/p/distribution/d.yaml": sealedFile(t, "d.yaml",
			head+"Distribution\nmetadata:\n  name: d\nspec:\n  type: embedded\n  version: v1.36.3\n", "^version$", to)}, "is not a version of type embedded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := edited(tt.files)
			_, err := Host(fsys, load(t, fsys).Sites[0].Hosts[0])
			require.ErrorContains(t, err, tt.want)
		})
	}
}
