package render

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const pluginTip = "use what kustomize has built in (apiVersion: builtin), or commit the result of the plugin"

// inline reports whether an entry of a list that takes paths or YAML is YAML.
func inline(entry string) bool {
	docs, err := fleet.ParseYAML("", []byte(entry), yamlLimits())
	return err != nil || len(docs) != 1 || docs[0].Content[0].Kind != yaml.ScalarNode
}

// plugin scans an entry of generators, transformers or validators. Only the
// built-in ones are let through, and they read only files that were scanned.
func (s *scan) plugin(dir string, at place, entry string) {
	from, data := at, []byte(entry)
	from.line = lineOf(at.root, entry)
	if !inline(entry) {
		full, ok := s.resolve(dir, at, entry)
		if !ok {
			return
		}
		if info, err := s.lstat(full); err == nil && info.IsDir() {
			s.problem(at, entry, "name the files themselves", "%s is a folder; plugins are configured by files", full)
			return
		}
		if data, ok = s.load(full, at, entry, objects); !ok {
			return
		}
		from = place{file: full}
	}
	if from.file == at.file {
		for _, doc := range s.parseWithin(at, entry) {
			s.pluginConfig(dir, from, doc.Content[0])
		}
		return
	}
	for _, doc := range s.parse(from.file, data) {
		from.root = doc
		s.pluginConfig(dir, from, doc.Content[0])
	}
}

func (s *scan) pluginConfig(dir string, at place, config *yaml.Node) {
	var head struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"metadata"`
	}
	if err := config.Decode(&head); err != nil {
		s.problem(at, "", pluginTip, "the configuration of a plugin: %s", strings.TrimPrefix(oneLine(err), "yaml: unmarshal errors: "))
		return
	}
	for key := range head.Metadata.Annotations {
		if strings.HasPrefix(key, "config.kubernetes.io/function") || strings.HasPrefix(key, "config.k8s.io/function") {
			s.problem(at, key, pluginTip, "%s %s would run a program or a container", head.APIVersion, head.Kind)
			return
		}
	}
	if head.APIVersion != "builtin" || strings.HasPrefix(head.Kind, "Helm") || strings.HasSuffix(head.Kind, "List") {
		s.problem(at, head.Kind, pluginTip, "%s %s would run a program or a container", head.APIVersion, head.Kind)
		return
	}
	s.pluginPaths(dir, at, config)
}

// pluginPaths scans the files that a built-in plugin's configuration names:
// fields at its top, and path in each of its replacements.
func (s *scan) pluginPaths(dir string, at place, n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			s.pluginPaths(dir, at, c)
		}
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		switch value := n.Content[i+1]; strings.ToLower(n.Content[i].Value) {
		case "path", "paths", "targetfilepath":
			s.pluginFiles(dir, at, value, objects)
		case "envs", "env":
			s.pluginFiles(dir, at, value, lines)
		case "files":
			s.pluginFiles(dir, at, value, content)
		case "patch", "patches", "jsonop":
			if value.Kind == yaml.ScalarNode {
				s.parseWithin(at, value.Value)
			}
		case "replacements", "<<":
			s.pluginPaths(dir, at, value)
		}
	}
}

// pluginFiles scans a path or a list of them.
func (s *scan) pluginFiles(dir string, at place, n *yaml.Node, as use) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			s.pluginFiles(dir, at, c, as)
		}
	}
	if n.Kind != yaml.ScalarNode || inline(n.Value) {
		return
	}
	ref := n.Value
	if _, after, ok := strings.Cut(ref, "="); ok {
		ref = after
	}
	s.fileAt(dir, at, ref, n.Value, as)
}
