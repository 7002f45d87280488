package review

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const (
	fleetAPI  = "apiVersion: holdfast.dev/v1alpha1\nkind: "
	keyOfA    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	keyOfB    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"
	keyOfC    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC"
	keyOfD    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAD"
	someSHA   = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	web       = "profiles/shop/addons/web/"
	siteFile  = "sites/one/site.yaml"
	hostsOf   = "sites/one/hosts/"
	layerFile = web + "kustomization.yaml"
)

const webYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: ${REPLICAS}
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: web:1.0.0
          env:
            - {name: TITLE, value: "${TITLE}"}
`

const profileYAML = fleetAPI + `Profile
spec:
  layers:
    - name: web
  variables:
    - {name: REPLICAS, type: integer, default: 1}
    - {name: TITLE, type: string, default: Hello}
`

// sound is a fleet that nothing is wrong with.
func sound() map[string]string {
	return map[string]string{
		"fleet.yaml":                                    fleetAPI + "Fleet\nmetadata:\n  name: sound\n",
		"profiles/shop/profile.yaml":                    profileYAML,
		"profiles/shop/content.lock":                    fleetAPI + "ContentLock\nspec:\n  distribution:\n    program:v1.36.3: " + someSHA + "\n  images:\n    web:1.0.0: " + someSHA + "\n",
		"profiles/shop/distribution/kustomization.yaml": "resources: [distribution.yaml]\n",
		"profiles/shop/distribution/distribution.yaml":  fleetAPI + "Distribution\nmetadata:\n  name: d\nspec:\n  type: embedded\n  version: v1.36.3\n",
		layerFile:                            "resources:\n  - ../../../../bases/namespace\n  - web.yaml\n",
		web + "web.yaml":                     webYAML,
		"bases/namespace/kustomization.yaml": "resources: [namespace.yaml]\n",
		"bases/namespace/namespace.yaml":     "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n",
		siteFile:                             fleetAPI + "Site\nspec:\n  profile: shop\n",
		hostsOf + "a.yaml":                   fleetAPI + "Host\nspec:\n  identity: " + keyOfA + "\n",
	}
}

func host(key, rest string) string { return fleetAPI + "Host\nspec:\n  identity: " + key + "\n" + rest }

// with is the sound fleet, edited; a file without text is not there.
func with(edits map[string]string) fstest.MapFS {
	files, fsys := sound(), fstest.MapFS{}
	for name, text := range edits {
		files[name] = text
	}
	for name, text := range files {
		if text != "" {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

func look(t *testing.T, fsys fstest.MapFS) Report {
	t.Helper()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	r, err := Lint(State{FS: fsys}, LintOptions{Options: Options{Check: notOf137, CheckHosts: oneHost}, Now: now, Needs: func(d fleet.Distribution) []string { return []string{"program:" + d.Version} }})
	require.NoError(t, err)
	return r
}

// notOf137 is a driver that does not know one version.
func notOf137(d fleet.Distribution) error {
	if strings.HasPrefix(d.Version, "v1.37.") {
		return unknown137{}
	}
	return nil
}

type unknown137 struct{}

func (unknown137) Error() string { return "no v1.37" }
func (unknown137) Hint() string  { return "take v1.36" }

// oneHost is a driver whose hosts cannot join each other.
func oneHost(_ fleet.Distribution, hosts int) error {
	if hosts > 1 {
		return &lonely{hosts}
	}
	return nil
}

type lonely struct{ hosts int }

func (l *lonely) Error() string { return fmt.Sprintf("one host alone, not %d", l.hosts) }
func (*lonely) Hint() string    { return "choose another type" }

// change replaces a part of a file of the sound fleet.
func change(file, old, new string) map[string]string {
	text := sound()[file]
	if !strings.Contains(text, old) {
		panic(file + " has no " + old)
	}
	return map[string]string{file: strings.Replace(text, old, new, 1)}
}

func and(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for name, text := range m {
			all[name] = text
		}
	}
	return all
}

func file(name, text string) map[string]string { return map[string]string{name: text} }

// broken is a fleet that breaks one rule, and what is said of it.
type broken struct {
	rule  fleet.Rule
	name  string
	edits map[string]string
	place string
	text  string // part of it
	hint  string // part of it
}

func TestAPolicyMayHaveItsParametersBesideIt(t *testing.T) {
	t.Parallel()
	const parameters = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: registries, namespace: default}\n"
	require.Empty(t, look(t, with(file("policies/registries.yaml", parameters+"data: {a: b}\n"))).Problems)
	found := look(t, with(file("policies/registries.yaml", parameters+"date: {a: b}\n"))).Problems
	require.Len(t, found, 1)
	require.Equal(t, fleet.RuleAdmissionPolicy, found[0].Rule)
}

func TestAVariableThatAProbeAsksForIsUsed(t *testing.T) {
	t.Parallel()
	probed := strings.NewReplacer("- name: web", "- {name: web, probes: [{tcp: '${NTP}:123'}]}", "  variables:\n", "  variables:\n    - {name: NTP, type: address, default: 10.0.0.1}\n").Replace(profileYAML)
	require.Empty(t, look(t, with(file("profiles/shop/profile.yaml", probed))).Problems)
}

// pinned is a fleet as one tag has it.
type pinned struct{ fs.FS }

func (p pinned) At(string, string) (fs.FS, error) { return p.FS, nil }

func TestASecretOfAPinIsNeededAsThePinHasIt(t *testing.T) {
	t.Parallel()
	holding := and(file(web+"secret.yaml", sopsSecret), file(layerFile, sound()[layerFile]+"  - secret.yaml\n"))
	old := with(holding)
	now := with(and(holding, file(web+"secret.yaml", strings.Replace(sopsSecret, ageKey, keyOfA, 1)),
		file("sites/two/site.yaml", fleetAPI+"Site\nspec:\n  profile: {name: shop, tag: v1, commit: "+strings.Repeat("a", 40)+"}\n"), file("sites/two/hosts/b.yaml", host(keyOfB, ""))))
	r, err := Lint(State{FS: now, Pins: pinned{old}}, LintOptions{Now: time.Now()})
	require.NoError(t, err)
	require.Len(t, r.Problems, 1)
	require.Equal(t, "as of v1: b cannot open it, and layer web needs it", r.Problems[0].Text())
	require.Equal(t, fleet.RuleUnreadableSecret, r.Problems[0].Rule)
}

func TestASoundFleetHasNoProblems(t *testing.T) {
	t.Parallel()
	r := look(t, with(nil))
	require.Empty(t, r.Problems)
	require.Equal(t, Report{Fleet: "sound", Profiles: 1, Sites: 1, Hosts: 1, Problems: []Problem{}}, r)
}

func TestEachRuleIsFoundWhereItIsBroken(t *testing.T) {
	t.Parallel()
	seen := map[fleet.Rule]bool{}
	for _, tt := range append(brokenFiles(), brokenObjects()...) {
		seen[tt.rule] = true
		t.Run(string(tt.rule)+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			r := look(t, with(tt.edits))
			var all []string
			for _, p := range r.Problems {
				all = append(all, fmt.Sprintf("%s %s %s\n  %s\n  %s", p.Rule, p.Severity, p.Place(), p.Text(), p.Hint))
			}
			require.Len(t, r.Problems, 1, "%s", strings.Join(all, "\n"))
			p := r.Problems[0]
			require.Equal(t, tt.rule, p.Rule, all[0])
			require.Equal(t, tt.rule.Warning(), p.Severity == Warning)
			require.Equal(t, tt.place, p.Place(), all[0])
			require.Contains(t, p.Text(), tt.text)
			require.Contains(t, p.Hint, tt.hint)
			require.NotEmpty(t, p.Hint)
			require.Equal(t, 1, r.Errors+r.Warnings)
		})
	}
	for _, rule := range fleet.Rules() {
		require.True(t, seen[rule.Rule], "no fleet here breaks the rule %s", rule.Rule)
	}
}
