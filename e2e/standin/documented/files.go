package documented

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Settings are what a configuration file says, by the path of its keys: those
// of a list several times.
type Settings map[string][]string

// First is the first value of a key, or nothing.
func (s Settings) First(key string) string {
	if len(s[key]) == 0 {
		return ""
	}
	return s[key][0]
}

// YAML checks a configuration file whose keys the table has as what.
func (t *Table) YAML(what string, data []byte) (Settings, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	s := Settings{}
	if len(root.Content) > 0 {
		s.add("", root.Content[0])
	}
	var errs []error
	for key, values := range s {
		for _, value := range values {
			errs = append(errs, t.Check(what, key, value))
		}
	}
	return s, errors.Join(errs...)
}

func (s Settings) add(key string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if key != "" {
				name = key + "." + name
			}
			s.add(name, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			s.add(key, item)
		}
	default:
		s[key] = append(s[key], n.Value)
	}
}

// Unit checks a unit of systemd: that each of its settings is documented. What
// runs the program may lie where the installation wants it.
func (t *Table) Unit(text string) error {
	var errs []error
	section := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		key, value, isSetting := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case !isSetting:
			errs = append(errs, fmt.Errorf("%q is no setting of a unit", line))
		case key == "ExecStart":
			_, err := t.Command(strings.Fields(value)[1:])
			errs = append(errs, err)
		default:
			errs = append(errs, t.Check("unit", section+"."+key, value))
		}
	}
	return errors.Join(errs...)
}
