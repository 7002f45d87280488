// Package documented says which commands, flags, configuration and places the
// documentation of k3s, RKE2 and k0s has: the tables beside it, which cite it
// row by row. A stand-in accepts nothing else, and what drivers write is held
// against them.
package documented

import (
	"embed"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed *.md
var files embed.FS

// Table is what one program's documentation has.
type Table struct {
	Program string
	rows    []row
}

type row struct{ what, name, values, source string }

// Load reads the table of a program.
func Load(program string) (*Table, error) {
	data, err := files.ReadFile(program + ".md")
	if err != nil {
		return nil, fmt.Errorf("nothing is documented of %s: %w", program, err)
	}
	return parse(program, string(data))
}

// parse reads the rows of the Markdown tables of a text.
func parse(program, text string) (*Table, error) {
	t := &Table{Program: program}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| what") || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			return nil, fmt.Errorf("%s.md: %q has %d cells, not 4", program, line, len(cells))
		}
		r := row{what: strings.TrimSpace(cells[0]), name: unquote(cells[1]), values: unquote(cells[2]), source: strings.TrimSpace(cells[3])}
		if !strings.Contains(r.source, "https://") || r.what == "" || r.name == "" {
			return nil, fmt.Errorf("%s.md: %q names nothing, or cites nothing", program, line)
		}
		t.rows = append(t.rows, r)
	}
	return t, nil
}

func unquote(cell string) string { return strings.Trim(strings.TrimSpace(cell), "`") }

// Check tells whether something of a kind is documented to take a value.
func (t *Table) Check(what, name, value string) error {
	for _, r := range t.rows {
		if r.what == what && matches(r.name, name) {
			if r.values == "<components>" {
				return t.components(value)
			}
			if err := accept(r.values, value); err != nil {
				return fmt.Errorf("%s: %s %s: %w (%s)", t.Program, what, name, err, r.source)
			}
			return nil
		}
	}
	return fmt.Errorf("%s: no documentation has the %s %s", t.Program, what, name)
}

// components checks a list of them.
func (t *Table) components(list string) error {
	var errs []error
	for name := range strings.SplitSeq(list, ",") {
		errs = append(errs, t.Check("component", "name", name))
	}
	return errors.Join(errs...)
}

// matches compares a name, in which a part in angle brackets stands for any.
func matches(pattern, name string) bool {
	if !strings.Contains(pattern, "<") {
		return pattern == name
	}
	parts := regexp.MustCompile(`<[^>]*>`).Split(pattern, -1)
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".+") + "$").MatchString(name)
}

// kindOf returns what checks values of a kind.
func kindOf(name string) func(string) error {
	return map[string]func(string) error{
		"<cidr>":    func(v string) error { _, err := netip.ParsePrefix(v); return err },
		"<address>": func(v string) error { _, err := netip.ParseAddr(v); return err },
		"<port>":    func(v string) error { _, err := strconv.ParseUint(v, 10, 16); return err },
		"<url>":     func(v string) error { _, err := url.ParseRequestURI(v); return err },
		"<duration>": func(v string) error {
			_, err := time.ParseDuration(v)
			return err
		},
		"<name>": func(v string) error {
			return is(regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9._]*$`).MatchString(v), "no name")
		},
		"<path>":          func(v string) error { return is(filepath.IsAbs(v), "no absolute path") },
		"<folder>":        folder,
		"<secret>":        secret,
		"<any>":           func(string) error { return nil },
		"<kubelet flags>": kubeletFlags,
	}[name]
}

func is(good bool, what string) error {
	if good {
		return nil
	}
	return errors.New(what)
}

// kubeletFlags are those that say which node this is.
func kubeletFlags(text string) error {
	for word := range strings.FieldsSeq(text) {
		flag, value, _ := strings.Cut(word, "=")
		check := map[string]string{"--hostname-override": "<name>", "--node-ip": "<address>"}[flag]
		if check == "" {
			return fmt.Errorf("%s is not one of those that are used", flag)
		}
		if err := kindOf(check)(value); err != nil {
			return err
		}
	}
	return nil
}

func folder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = errors.New("no folder")
	}
	return err
}

// secret is a file that its owner alone can read.
func secret(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm() != 0o600 {
		err = fmt.Errorf("others can read it: its mode is %04o", info.Mode().Perm())
	}
	return err
}

// accept holds a value against what is documented: one of some words, or a kind.
func accept(values, value string) error {
	if check := kindOf(values); check != nil {
		if err := check(value); err != nil {
			return fmt.Errorf("%q: %w", value, err)
		}
		return nil
	}
	if values == "" && value == "" || values != "" && slices.Contains(strings.Split(values, ", "), value) {
		return nil
	}
	return fmt.Errorf("%q is not one of %q", value, values)
}
