package documented

import (
	"fmt"
	"strings"
)

// Command is a command line that is documented.
type Command struct {
	Name  string // like "etcd-snapshot save"
	Flags map[string]string
	Rest  []string // of a command that hands the rest to another program
}

// Command finds the command in the words after the program, and checks its flags.
func (t *Table) Command(words []string) (Command, error) {
	cmd := Command{Flags: map[string]string{}}
	hands := false
	for _, r := range t.rows {
		name := strings.Fields(r.name)
		if r.what == "command" && len(name) <= len(words) && strings.Join(words[:len(name)], " ") == r.name && len(r.name) > len(cmd.Name) {
			cmd.Name, hands = r.name, r.values == "<any>"
		}
	}
	if cmd.Name == "" {
		return cmd, fmt.Errorf("%s: no documentation has the command %q", t.Program, strings.Join(words, " "))
	}
	words = words[len(strings.Fields(cmd.Name)):]
	if hands {
		cmd.Rest = words
		return cmd, nil
	}
	for len(words) > 0 {
		flag, value, given := strings.Cut(words[0], "=")
		words = words[1:]
		if !strings.HasPrefix(flag, "-") {
			if err := t.Check("argument", cmd.Name, flag); err != nil {
				return cmd, err
			}
			cmd.Rest = append(cmd.Rest, flag)
			continue
		}
		if !given && len(words) > 0 && t.takes(cmd.Name+" "+flag) {
			value, words = words[0], words[1:]
		}
		if err := t.Check("flag", cmd.Name+" "+flag, value); err != nil {
			return cmd, err
		}
		cmd.Flags[flag] = value
	}
	return cmd, nil
}

// takes tells whether a flag has a value.
func (t *Table) takes(name string) bool {
	for _, r := range t.rows {
		if r.what == "flag" && r.name == name {
			return r.values != ""
		}
	}
	return false
}
