package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/trust"
)

const schemaDir = "../../docs/reference/schemas"

func TestSchemasAreUpToDate(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		want, err := schemaOf(kind)
		require.NoError(t, err)
		file := filepath.Join(schemaDir, kind+".json")
		if *update {
			require.NoError(t, os.MkdirAll(schemaDir, 0o755))
			require.NoError(t, os.WriteFile(file, want, 0o644))
		}
		have, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(have), string(want), "run go test ./cmd/holdfast -run TestSchemas -update")
	}
	files, err := os.ReadDir(schemaDir)
	require.NoError(t, err)
	require.Len(t, files, len(kinds()), "no schema of a kind that has gone")
}

// agrees tells what the schema of the object's own kind says of a YAML file.
func agrees(t *testing.T, data []byte) error {
	var head struct{ Kind string }
	require.NoError(t, yaml.Unmarshal(data, &head))
	text, err := schemaOf(head.Kind)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("schema.json", doc))
	s, err := c.Compile("schema.json")
	require.NoError(t, err)
	var value any
	require.NoError(t, yaml.Unmarshal(data, &value))
	return s.Validate(value)
}

func TestSchemasTakeTheExample(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	err := filepath.WalkDir("../../fleet-example", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(file) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(file)
		var head struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
		}
		if err != nil || yaml.Unmarshal(data, &head) != nil || head.APIVersion != fleet.APIVersion {
			return err
		}
		seen[head.Kind] = true
		require.NoError(t, agrees(t, data), file)
		return nil
	})
	require.NoError(t, err)
	for _, kind := range []string{"Fleet", "Profile", "Site", "Group", "Host", "Distribution", "TrustPolicy"} {
		require.True(t, seen[kind], kind)
	}
}

// reads is what the strict reader of the kind says of a file.
func reads(data string) error {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	head := "apiVersion: " + fleet.APIVersion + "\nkind: "
	files := map[string]string{
		"fleet.yaml": head + "Fleet\nmetadata: {name: x}\n", "profiles/p/distribution/kustomization.yaml": "x", "profiles/p/addons/web/kustomization.yaml": "x",
		"profiles/p/profile.yaml": head + "Profile\nspec: {layers: [{name: web}], variables: [{name: A, type: string}, {name: N, type: integer}]}\n",
		"sites/s/site.yaml":       head + "Site\nspec: {profile: p}\n", "sites/s/hosts/h.yaml": head + "Host\nspec: {identity: " + key + "}\n",
	}
	place := map[string]string{"Fleet": "fleet.yaml", "Profile": "profiles/p/profile.yaml", "Site": "sites/s/site.yaml",
		"Group": "sites/group.yaml", "Host": "sites/s/hosts/h.yaml", "Agent": "agent.yaml"}
	_, kind, _ := strings.Cut(data, "kind: ")
	kind, _, _ = strings.Cut(kind, "\n")
	switch kind {
	case "Distribution":
		_, err := fleet.ParseDistribution([]byte(data))
		return err
	case "TrustPolicy":
		_, err := trust.ParsePolicy("policy.yaml", []byte(data))
		return err
	case "AgentConfig":
		_, err := parseAgentConfig([]byte(data))
		return err
	}
	fsys := fstest.MapFS{}
	files[place[kind]] = data
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	_, err := fleet.Load(fsys)
	return err
}

func TestSchemasAndReadersAgree(t *testing.T) {
	t.Parallel()
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, tt := range []struct {
		kind string
		rest string
		good bool
	}{
		{"Fleet", "metadata: {name: x}\n", true},
		{"Fleet", "metadata: {name: x, labels: {a: b}}\nspec: {freshness: 30d}\n", true},
		{"Fleet", "metadata: {name: x}\nspec: {sources: [{git: \"https://x/y\", answerWithin: 5s}]}\n", true},
		{"Fleet", "metadata: {name: x}\nspec: {sources: [{git: x}]}\n", false},
		{"Fleet", "", false},
		{"Fleet", "metadata: {name: X}\n", false},
		{"Fleet", "metadata: {name: x}\nspec: {freshness: soon}\n", false},
		{"Fleet", "metadata: {name: x}\nspec: {fresh: 30d}\n", false},
		{"Profile", "spec: {layers: [{name: web, dependsOn: [], wait: true, prune: false, timeout: 1m30s, rollback: auto, retry: 3}]}\n", true},
		{"Profile", "spec: {layers: []}\n", true},
		{"Profile", "spec: {}\n", false},
		{"Profile", "spec: {layers: [{name: web, rollback: never}]}\n", false},
		{"Profile", "spec: {layers: [{name: web, retry: -1}]}\n", false},
		{"Profile", "spec: {layers: [{name: web, retry: \"1\"}]}\n", false},
		{"Profile", "spec: {layers: [{name: web, timeout: 1}]}\n", false},
		{"Profile", "spec: {layers: [{path: addons/web}]}\n", false},
		{"Profile", "spec: {layers: {web: {}}}\n", false},
		{"Profile", "spec: {layers: [], variables: [{name: A, type: enum, values: [a, b], default: a}]}\n", true},
		{"Profile", "spec: {layers: [], variables: [{name: A-B, type: string}]}\n", false},
		{"Profile", "spec: {layers: [], variables: [{name: A, type: text}]}\n", false},
		{"Profile", "spec: {layers: [], variables: [{name: A, type: string, default: [a]}]}\n", false},
		{"Site", "spec: {profile: p, variables: {A: x, N: 1}, labels: {a/b: c, d: \"\"}}\n", true},
		{"Site", "spec: {profile: {name: p}}\n", true},
		{"Site", "spec: {profile: {name: p, tag: v1}}\n", false},
		{"Site", "spec: {profile: {name: p, commit: \"" + strings.Repeat("0", 40) + "\"}}\n", false},
		{"Site", "spec: {profile: {tag: v1, commit: \"" + strings.Repeat("0", 40) + "\"}}\n", false},
		{"Site", "spec: {profile: {name: p, tag: v1, commit: abc}}\n", false},
		{"Site", "spec: {profile: [p]}\n", false},
		{"Site", "spec: {profile: p, variables: {A: [x]}}\n", false},
		{"Site", "spec: {profile: p, labels: {a: 1}}\n", false},
		{"Site", "spec: {profile: p, labels: {a: \"b c\"}}\n", false},
		{"Site", "spec: {profile: p, label: {}}\n", false},
		{"Group", "spec: {profile: p, labels: {a: b}}\n", true},
		{"Group", "spec: {sources: [{mirror: \"https://x/y\"}]}\n", true},
		{"Group", "spec: {sources: [{mirror: \"ssh://x/y\"}]}\n", false},
		{"Group", "spec: {hosts: []}\n", false},
		{"Host", "spec: {identity: " + key + " comment, role: control-plane, state: active}\n", true},
		{"Host", "spec: {identity: " + key + ", network: {address: 10.0.0.11, interface: eth0}}\n", true},
		{"Host", "spec: {identity: " + key + ", network: {address: 10.0.0.11/24}}\n", false},
		{"Host", "spec: {}\n", false},
		{"Host", "spec: {identity: " + key + ", role: boss}\n", false},
		{"Host", "spec: {identity: ssh-rsa AAAA}\n", false},
		{"Distribution", "metadata: {name: x}\nspec: {type: embedded, version: v1.36.3, podCIDR: 10.0.0.0/24, apiPort: 443}\n", true},
		{"Distribution", "metadata: {name: x}\nspec: {type: embedded, version: 1.36.3}\n", false},
		{"Distribution", "metadata: {name: x}\nspec: {type: embedded, version: v1.36.3, apiPort: 0}\n", false},
		{"Distribution", "metadata: {name: x}\nspec: {type: embedded, version: v1.36.3, podCIDR: here}\n", false},
		{"Agent", "spec: {version: v1.2.3, digests: {amd64: \"" + digest + "\"}}\n", true},
		{"Agent", "spec: {version: v1.2.3, digests: {}}\n", false},
		{"Agent", "spec: {version: \"1.2\", digests: {amd64: \"" + digest + "\"}}\n", false},
		{"Agent", "spec: {version: v1.2.3, digests: {amd64: md5}}\n", false},
		{"Agent", "spec: {version: v1.2.3, digests: {AMD/64: \"" + digest + "\"}}\n", false},
		{"TrustPolicy", "spec: {mode: commit, people: {a: [b]}, groups: {g: [a]}, rules: [{paths: [\"**\"], groups: [g], threshold: 1}]}\n", true},
		{"TrustPolicy", "spec: {rule: []}\n", false},
		{"TrustPolicy", "spec: {mode: commit, groups: {g: a}, rules: []}\n", false},
		{"AgentConfig", "spec: {interval: 5m, sources: [{git: \"https://example.com/fleet.git\"}]}\n", true},
		{"AgentConfig", "spec: {source: []}\n", false},
		{"AgentConfig", "spec: {sources: {git: x}}\n", false},
	} {
		t.Run(tt.kind+" "+tt.rest, func(t *testing.T) {
			t.Parallel()
			data := "apiVersion: " + fleet.APIVersion + "\nkind: " + tt.kind + "\n" + tt.rest
			bySchema, byReader := agrees(t, []byte(data)), reads(data)
			if tt.good {
				require.NoError(t, byReader)
				require.NoError(t, bySchema)
			} else {
				require.Error(t, byReader)
				require.Error(t, bySchema)
			}
		})
	}
}
