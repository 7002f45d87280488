package fleet_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const (
	head = "apiVersion: holdfast.dev/v1alpha1\nkind: "
	keyA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	keyB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"
)

func small() map[string]string {
	return map[string]string{
		"fleet.yaml": head + "Fleet\nmetadata:\n  name: small\n",
		"profiles/shop/profile.yaml": head + "Profile\nspec:\n  layers:\n    - name: platform\n    - name: web\n      dependsOn: [platform]\n" +
			"      timeout: 30s\n      prune: false\n      rollback: hold\n      retry: 3\n  variables:\n    - name: STORE_ID\n      type: string\n      required: true\n" +
			"    - name: REPLICAS\n      type: integer\n      default: 2\n    - name: OPEN\n      type: boolean\n",
		"profiles/shop/distribution/kustomization.yaml":    "resources: []\n",
		"profiles/shop/addons/platform/kustomization.yaml": "resources: []\n",
		"profiles/shop/addons/web/kustomization.yaml":      "resources: []\n",
		"sites/emea/s1/site.yaml":                          head + "Site\nspec:\n  profile: shop\n  variables:\n    STORE_ID: \"042\"\n  labels: {country: de}\n",
		"sites/emea/s1/hosts/s1-a.yaml":                    head + "Host\nspec:\n  identity: " + keyA + "\n",
		"sites/emea/s1/addons/web/kustomization.yaml":      "resources: []\n",
	}
}

// edited returns the small fleet with files replaced; an empty one is removed.
func edited(edits map[string]string) fstest.MapFS {
	files := small()
	for name, text := range edits {
		files[name] = text
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		if text != "" {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

// hostsAt gives the site hosts in these roles, in place of its own.
// hostsAt gives the site of the small fleet hosts h0, h1 and so on, each at an
// address of its own or at the one that follows its role.
func hostsAt(roles ...string) map[string]string {
	edits := map[string]string{"sites/emea/s1/hosts/s1-a.yaml": ""}
	for n, role := range roles {
		key := strings.TrimSuffix(keyA, "A") + string(rune('B'+n))
		role, place, stated := strings.Cut(role, " at ")
		if !stated {
			place = fmt.Sprintf("10.0.0.%d", 11+n)
		}
		text := head + "Host\nspec:\n  identity: " + key + "\n  role: " + role + "\n"
		if place != "nowhere" {
			text += "  network: {address: " + place + "}\n"
		}
		edits[fmt.Sprintf("sites/emea/s1/hosts/h%d.yaml", n)] = text
	}
	return edits
}

func messages(err error) []string {
	var out []string
	for _, p := range fleet.Problems(err) {
		out = append(out, p.Error())
	}
	return out
}

func TestLoad(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(nil))
	require.NoError(t, err)
	require.Equal(t, "small", f.Name)
	p := f.Profiles["shop"]
	require.Equal(t, []fleet.Layer{
		{Name: "platform", Path: "profiles/shop/addons/platform", Wait: true, Prune: true, Timeout: 5 * time.Minute},
		{Name: "web", Path: "profiles/shop/addons/web", DependsOn: []string{"platform"}, Wait: true, Timeout: 30 * time.Second, Rollback: fleet.RollbackHold, Retry: 3},
	}, p.Layers)
	require.Len(t, f.Sites, 1)
	s := f.Sites[0]
	require.Equal(t, "sites/emea/s1", s.Dir)
	require.Same(t, p, s.Profile)
	require.Equal(t, map[string]any{"STORE_ID": "042", "REPLICAS": int64(2)}, s.Variables)
	require.Equal(t, map[string]string{"country": "de"}, s.Labels)
	require.Equal(t, map[string]string{"web": "sites/emea/s1/addons/web"}, s.Overlays)
	require.Equal(t, "sites/emea/s1/site.yaml", s.ChosenIn)
	require.Empty(t, s.Groups)
	require.Equal(t, &fleet.Host{Name: "s1-a", Site: s, File: "sites/emea/s1/hosts/s1-a.yaml", Identity: keyA, Role: fleet.ControlPlane, State: fleet.Active}, s.Hosts[0])
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30d": 30 * 24 * time.Hour, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute} {
		f, err := fleet.Load(edited(map[string]string{"fleet.yaml": head + "Fleet\nmetadata: {name: small}\nspec: {freshness: " + text + "}\n"}))
		require.NoError(t, err)
		require.Equal(t, want, f.Freshness)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const profile, site, host = "profiles/shop/profile.yaml", "sites/emea/s1/site.yaml", "sites/emea/s1/hosts/s1-a.yaml"
	replaced := func(file, old, with string) map[string]string {
		return map[string]string{file: strings.Replace(small()[file], old, with, 1)}
	}
	for _, tt := range []struct {
		name  string
		edits map[string]string
		want  []string
	}{
		{"no fleet.yaml", map[string]string{"fleet.yaml": ""}, []string{"fleet.yaml: the file is missing"}},
		{"a fleet without a name", map[string]string{"fleet.yaml": head + "Fleet\n"}, []string{"fleet.yaml:1: the Fleet lacks the field metadata"}},
		{"a freshness that is no time", map[string]string{"fleet.yaml": head + "Fleet\nmetadata: {name: small}\nspec: {freshness: soon}\n"},
			[]string{"fleet.yaml:4: freshness is not a duration"}},
		{"a folder that is a submodule", map[string]string{"bases/other/.git": "gitdir: ../../.git/modules/other\n"},
			[]string{"bases/other: a repository of its own (a submodule?), which hosts do not get"}},
		{"a group that is a submodule", map[string]string{"sites/emea/.git": "gitdir: ../../.git/modules/emea\n"},
			[]string{"sites/emea: a repository of its own (a submodule?), which hosts do not get"}},
		{"a site that is a submodule", map[string]string{"sites/emea/s1/.git": "gitdir: ../../.git/modules/s1\n"},
			[]string{"sites/emea/s1: a repository of its own (a submodule?), which hosts do not get"}},
		{"a site within a site", map[string]string{"sites/emea/s1/annex/s2/site.yaml": head + "Site\nspec: {profile: shop}\n"},
			[]string{"sites/emea/s1/annex/s2/site.yaml: a site within a site"}},
		{"a file that is a pointer of Git LFS", map[string]string{site: "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n"},
			[]string{site + ": a pointer of Git LFS: hosts do not get the file that it stands for"}},
		{"a freshness of years and years", map[string]string{"fleet.yaml": head + "Fleet\nmetadata: {name: small}\nspec: {freshness: 3651d}\n"},
			[]string{"fleet.yaml:4: freshness is not a duration"}},
		{"a freshness of a moment", map[string]string{"fleet.yaml": head + "Fleet\nmetadata: {name: small}\nspec: {freshness: 1s}\n"},
			[]string{"fleet.yaml:4: freshness is not a duration"}},
		{"an unknown field", replaced(site, "  profile: shop", "  profile: shop\n  prefile: shop"), []string{site + ":5: unknown field prefile in spec"}},
		{"a field given twice", replaced(site, "  profile: shop", "  profile: shop\n  profile: shop"), []string{site + ":5: field profile is given twice in spec"}},
		{"a list where text belongs", replaced(site, "  profile: shop", "  profile: [shop]"), []string{site + ":4: profile must be a string, not a list"}},
		{"another apiVersion", replaced(host, "v1alpha1", "v2"), []string{host + ":1: apiVersion is holdfast.dev/v2, not holdfast.dev/v1alpha1"}},
		{"another kind", replaced(host, "kind: Host", "kind: Hosts"), []string{host + ":2: kind is Hosts, not Host"}},
		{"an unknown profile", replaced(site, "profile: shop", "profile: ship"), []string{site + ":4: unknown profile ship"}},
		{"an overlay of no layer", map[string]string{"sites/emea/s1/addons/wob/kustomization.yaml": "a"},
			[]string{"sites/emea/s1/addons/wob: wob is not a layer of profile shop"}},
		{"a dependency on no layer", replaced(profile, "[platform]", "[ground]"),
			[]string{profile + ":6: layer web depends on ground, which is not a layer of the profile"}},
		{"layers that wait for each other", replaced(profile, "- name: platform", "- name: platform\n      dependsOn: [web]"),
			[]string{profile + ":5: layers wait for each other: platform -> web -> platform"}},
		{"a layer that waits for itself", replaced(profile, "[platform]", "[web]"), []string{profile + ":6: layers wait for each other: web -> web"}},
		{"a layer without a folder", map[string]string{"profiles/shop/addons/web/kustomization.yaml": ""},
			[]string{profile + ":6: layer web has no kustomization in profiles/shop/addons/web"}},
		{"a layer outside its profile", replaced(profile, "- name: platform", "- name: platform\n      path: ../../bases"),
			[]string{profile + ":6: a layer's path is not \"../../bases\""}},
		{"a name with capitals", replaced(profile, "- name: platform", "- name: Platform"),
			[]string{profile + ":5: a layer's name \"Platform\" is not a name", profile + ":6: layer web depends on platform, which is not a layer of the profile"}},
		{"a required variable without a value", replaced(site, "STORE_ID: \"042\"", "REPLICAS: 1"),
			[]string{site + ":6: variable STORE_ID is required by profile shop"}},
		{"a variable that is not declared", replaced(site, "STORE_ID: \"042\"", "STORE_ID: \"042\"\n    STORE: x"),
			[]string{site + ":7: variable STORE is not declared by profile shop"}},
		{"a number where a string is declared", replaced(site, "\"042\"", "042"),
			[]string{site + ":6: variable STORE_ID: must be of type string, not a number"}},
		{"a string where an integer is declared", replaced(site, "STORE_ID: \"042\"", "STORE_ID: \"042\"\n    REPLICAS: \"2\""),
			[]string{site + ":7: variable REPLICAS: must be of type integer, not text"}},
		{"an octal integer", replaced(site, "STORE_ID: \"042\"", "STORE_ID: \"042\"\n    REPLICAS: 010"),
			[]string{site + ":7: variable REPLICAS: \"010\" is not an integer"}},
		{"a default of another type", replaced(profile, "default: 2", "default: two"), []string{profile + ":18: variable REPLICAS: must be of type integer, not text"}},
		{"a variable declared twice", replaced(profile, "name: REPLICAS", "name: STORE_ID"), []string{profile + ":16: variable STORE_ID is declared twice"}},
		{"a retry without end", replaced(profile, "retry: 3", "retry: 101"), []string{profile + ":11: retry must be a number from 0 to 100"}},
		{"a way to roll back that is none", replaced(profile, "rollback: hold", "rollback: never"), []string{profile + ":10: unknown way to roll back never"}},
		{"a label's name", replaced(site, "country: de", "-country: de"), []string{site + ":7: \"-country\" is not a name for a label"}},
		{"a label's value", replaced(site, "country: de", "country: d e"), []string{site + ":7: label country: \"d e\" is not a value for a label"}},
		{"a label that is a number", replaced(site, "country: de", "country: 49"), []string{site + ":7: label country must be a string, not a number"}},
		{"an unknown type", replaced(profile, "type: integer", "type: int"),
			[]string{profile + ":17: unknown type int", profile + ":18: variable REPLICAS: must be of type string, not a number"}},
		{"a name that differs from the path", replaced(site, "spec:", "metadata:\n  name: s2\nspec:"), []string{site + ":4: metadata.name is s2, but the path says s1"}},
		{"two sites with one name", map[string]string{"sites/s1/site.yaml": small()[site]}, []string{"sites/s1/site.yaml: sites/emea/s1/site.yaml has the same name"}},
		{"two hosts with one identity", map[string]string{"sites/s2/site.yaml": small()[site], "sites/s2/hosts/b.yaml": small()[host]},
			[]string{"sites/s2/hosts/b.yaml:4: sites/emea/s1/hosts/s1-a.yaml has the same identity"}},
		{"two control-plane hosts", hostsAt("control-plane", "control-plane"),
			[]string{"sites/emea/s1/hosts/h1.yaml: site s1 has two control-plane hosts, which are less available than one"}},
		{"four control-plane hosts", hostsAt("control-plane", "control-plane", "control-plane", "control-plane"),
			[]string{"sites/emea/s1/hosts/h3.yaml: site s1 has 4 control-plane hosts"}},
		{"several hosts of which the control plane is nowhere", hostsAt("worker", "control-plane at nowhere"),
			[]string{"sites/emea/s1/hosts/h1.yaml: site s1 has several hosts, and they must know where to find h1"}},
		{"two hosts at one address", hostsAt("worker", "control-plane at 10.0.0.11"),
			[]string{"sites/emea/s1/hosts/h1.yaml:6: sites/emea/s1/hosts/h0.yaml has the same address"}},
		{"an address with a mask", replaced(host, "spec:", "spec:\n  network: {address: 10.0.0.1/24}"), []string{host + ":4: network: \"10.0.0.1/24\" is not an address"}},
		{"an address of every host", replaced(host, "spec:", "spec:\n  network: {address: 127.0.0.1}"), []string{host + ":4: network: 127.0.0.1 is not the address of one host"}},
		{"an interface that is none", replaced(host, "spec:", "spec:\n  network: {interface: eth0/1}"), []string{host + ":4: network: \"eth0/1\" is not the name of an interface"}},
		{"workers alone", hostsAt("worker", "worker"), []string{"sites/emea/s1/hosts/h0.yaml: site s1 has no control-plane host"}},
		{"a lone worker", replaced(host, "spec:", "spec:\n  role: worker"), []string{host + ": site s1 has no control-plane host"}},
		{"an unknown role", replaced(host, "spec:", "spec:\n  role: boss"), []string{host + ": site s1 has no control-plane host", host + ":4: unknown role boss"}},
		{"a key that is none", replaced(host, keyA, "ssh-ed25519 AAAA"), []string{host + ":4: identity: the key is not an ed25519 public key"}},
		{"an RSA key", replaced(host, keyA, "ssh-rsa AAAA"), []string{host + ":4: identity: not of the form \"ssh-ed25519 AAAA…\""}},
		{"a key with options", replaced(host, keyA, "no-pty "+keyA), []string{host + ":4: identity: not of the form \"ssh-ed25519 AAAA…\""}},
		{"hosts without a site", map[string]string{"sites/x/hosts/a.yaml": "x"}, []string{"sites/x/site.yaml: the file is missing beside sites/x/hosts"}},
		{"a folder in profiles/ that is none", map[string]string{"profiles/common/x.yaml": "x"},
			[]string{"profiles/common/profile.yaml: the file is missing"}},
		{"two documents", replaced(site, "spec:", "---\nspec:"), []string{site + ": holds 2 YAML documents, not one Site"}},
		{"an empty file", map[string]string{site: "# nothing\n"}, []string{site + ": holds 0 YAML documents, not one Site"}},
		{"broken YAML", map[string]string{site: "a: [\n"}, []string{site + ":1: not YAML: did not find expected node content"}},
		{"a merge key", replaced(site, "  profile: shop", "  <<: {profile: shop}"),
			[]string{site + ":4: unknown field << in spec"}},
		{"no profile anywhere", replaced(site, "  profile: shop\n", ""), []string{site + ": site s1 has no profile"}},
		{"a lock with a short digest", map[string]string{"profiles/shop/content.lock": head + "ContentLock\nspec:\n  images:\n    a: sha256:12\n"},
			[]string{"profiles/shop/content.lock:5: the digest of a is not sha256:<64 hex digits>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := fleet.Load(edited(tt.edits))
			require.Nil(t, f)
			require.Equal(t, tt.want, messages(err))
			for _, p := range fleet.Problems(err) {
				require.NotContains(t, p.Msg+p.Tip, "\n")
			}
		})
	}
}

func TestLoadAcceptsWhatIsFine(t *testing.T) {
	t.Parallel()
	for name, edits := range map[string]map[string]string{
		"one control-plane and workers":  hostsAt("worker", "control-plane", "worker"),
		"three control-plane hosts":      hostsAt("control-plane", "control-plane", "control-plane", "worker"),
		"an address taken over":          {"sites/emea/s1/hosts/s1-a.yaml": head + "Host\nspec:\n  identity: " + keyA + "\n  network: {address: fd00::1, interface: eth0}\n", "sites/emea/s1/hosts/s1-b.yaml": head + "Host\nspec:\n  state: removed\n  network: {address: fd00::1}\n  identity: " + keyB + "\n"},
		"no hosts":                       {"sites/emea/s1/hosts/s1-a.yaml": ""},
		"no sites and no profiles":       {"sites/emea/s1/site.yaml": "", "sites/emea/s1/hosts/s1-a.yaml": "", "sites/emea/s1/addons/web/kustomization.yaml": ""},
		"a removed host beside its heir": {"sites/emea/s1/hosts/s1-b.yaml": head + "Host\nspec:\n  state: removed\n  identity: " + keyB + " comment\n"},
		"files for people":               {"sites/README.md": "x", "sites/emea/s1/hosts/README.md": "x", "profiles/README.md": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.Load(edited(edits))
			require.NoError(t, err)
		})
	}
}

func TestLoadRefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	const site = "sites/emea/s1/site.yaml"
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+",", 8) + "*" + prev + "]\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"a YAML bomb", bomb, site + ":1: too many values once aliases are followed"},
		{"an alias of itself", "a: &a [*a]\n", site + ":1: nested too deep"},
		{"10,000 deep brackets", strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), site + ": nested too deep"},
		{"9,000 deep brackets", strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), site + ":1: nested too deep"},
		{"65 deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), site + ":1: nested too deep"},
		{"50 MB", strings.Repeat("# padding\n", 5<<20), site + ": the file is larger than 1024 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.Load(edited(map[string]string{site: tt.text}))
			require.Equal(t, []string{tt.want}, messages(err))
		})
	}
}

func TestLoadRefusesDeepFolders(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.CopyFS(root, edited(nil)))
	// Made one in the other: no system call takes a path of 10,000 parts.
	at, err := os.OpenRoot(filepath.Join(root, "sites"))
	require.NoError(t, err)
	for range 10_000 {
		require.NoError(t, at.Mkdir("d", 0o755))
		next, err := at.OpenRoot("d")
		require.NoError(t, err)
		require.NoError(t, at.Close())
		at = next
	}
	require.NoError(t, at.Close())
	_, err = fleet.Load(os.DirFS(root))
	require.Equal(t, []string{"sites" + strings.Repeat("/d", 32) + ": folders are nested deeper than 32"}, messages(err))
}

func TestLoadRefusesLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.CopyFS(root, edited(nil)))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(root, "profiles/shop/addons/web/passwd")))
	require.NoError(t, os.Symlink("../../profiles", filepath.Join(root, "sites/emea/s1/profiles")))
	_, err := fleet.Load(os.DirFS(root))
	require.Equal(t, []string{"profiles/shop/addons/web/passwd: a symbolic link, which a fleet may not have",
		"sites/emea/s1/profiles: a symbolic link, which a fleet may not have"}, messages(err))

	root = t.TempDir()
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(root, "fleet.yaml")))
	require.NoError(t, os.Symlink("/etc", filepath.Join(root, "profiles")))
	_, err = fleet.Load(os.DirFS(root))
	require.Equal(t, []string{"fleet.yaml: a symbolic link, which a fleet may not have", "profiles: a symbolic link, which a fleet may not have"}, messages(err))

	submodule := edited(nil)
	submodule["bases/sub"] = &fstest.MapFile{Mode: fs.ModeIrregular}
	_, err = fleet.Load(submodule)
	require.Equal(t, []string{"bases/sub: neither a file nor a folder (a submodule?)"}, messages(err))
}
