// Command mutate removes checks from the source, one at a time, and runs the test
// that is said to hold each. A check whose test still passes holds nothing.
//
// The work tree is not touched: go test reads the changed file as an overlay.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	table = "tools/mutate/mutations.yaml"
	page  = "docs/reference/attacks.md"
)

// mutation removes one check.
type mutation struct {
	Check string `yaml:"check"` // what it is for, as a sentence without a full stop
	File  string `yaml:"file"`
	Cut   string `yaml:"cut"`  // source text that stands in the file once
	With  string `yaml:"with"` // what stands there without the check
	Test  string `yaml:"test"` // that fails then: TestName, or TestName/row
	In    string `yaml:"in"`   // package of the test; default that of the file
}

func (m mutation) pkg() string { return cmp.Or(m.In, filepath.Dir(m.File)) }

func main() {
	root := flag.String("C", ".", "root of the repository")
	only := flag.String("only", "", "regular expression: only checks, files or tests that match")
	write := flag.Bool("write", false, "only write "+page)
	flag.Parse()
	if err := run(*root, *only, *write); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(root, only string, write bool) error {
	filter, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	mutations, err := read(root)
	if err != nil {
		return err
	}
	path, text := filepath.Join(root, page), markdown(mutations)
	if write {
		return os.WriteFile(path, text, 0o644)
	}
	if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, text) {
		return fmt.Errorf("%s is not what %s says: run make mutate WRITE=1", page, table)
	}
	mutations = slices.DeleteFunc(mutations, func(m mutation) bool {
		return !filter.MatchString(m.Check + "\n" + m.File + "\n" + m.Test)
	})
	packages := make(map[string][]mutation)
	for _, m := range mutations {
		packages[m.pkg()] = append(packages[m.pkg()], m)
	}
	failed := 0
	for pkg, list := range packages {
		before, err := test(root, "", list...)
		if err != nil {
			return fmt.Errorf("the tests of %s fail before anything is changed: %w", pkg, err)
		}
		for _, m := range list {
			result := "there is no test " + m.Test
			if strings.Contains(before, "--- PASS: "+m.Test+" (") {
				result = try(root, m)
			}
			if !strings.HasPrefix(result, killed) {
				failed++
			}
			fmt.Printf("%-100s %s\n", m.File+": "+m.Check, result)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks are not held by the test that is named", failed, len(mutations))
	}
	return nil
}

func read(root string) ([]mutation, error) {
	data, err := os.ReadFile(filepath.Join(root, table))
	if err != nil {
		return nil, err
	}
	var list []mutation
	if err := yaml.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", table, err)
	}
	for _, m := range list {
		source, err := os.ReadFile(filepath.Join(root, m.File))
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(source), m.Cut); n != 1 || m.Check == "" || m.Test == "" {
			return nil, fmt.Errorf("%s: %q: its text stands %d times in %s", table, m.Check, n, m.File)
		}
	}
	return list, nil
}

const killed = "KILLED by "

// try says how a mutation was noticed, or that it was not.
func try(root string, m mutation) string {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	overlay, err := mutate(root, dir, m)
	if err != nil {
		return err.Error()
	}
	output, err := test(root, overlay, m)
	switch {
	case err == nil:
		return "SURVIVED " + m.Test
	case strings.Contains(output, "[build failed]"), strings.Contains(output, "[setup failed]"):
		return "does not compile\n" + output
	case strings.Contains(output, "panic: test timed out"):
		return killed + "the time that " + m.Test + " takes"
	case strings.Contains(output, "--- FAIL: "+m.Test+" ("), strings.Contains(output, "\npanic: "):
		return killed + m.Test
	}
	return err.Error() + "\n" + output
}

// mutate writes the changed file, and the overlay that puts it in place.
func mutate(root, dir string, m mutation) (string, error) {
	path, err := filepath.Abs(filepath.Join(root, m.File))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), m.Cut, m.With, 1)), 0o600); err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// test runs the tests of mutations of one package, and no other rows of them.
func test(root, overlay string, list ...mutation) (output string, err error) {
	var tests, rows []string
	for _, m := range list {
		name, row, _ := strings.Cut(m.Test, "/")
		tests, rows = append(tests, regexp.QuoteMeta(name)), append(rows, cmp.Or(regexp.QuoteMeta(row), ".*"))
	}
	pattern := "^(" + strings.Join(tests, "|") + ")$/^(" + strings.Join(rows, "|") + ")$"
	args := []string{"test", "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout=10m", "-v", "-run", pattern}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "./"+list[0].pkg())...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func markdown(mutations []mutation) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, `# What each check is held by

Written by `+"`make mutate WRITE=1`"+` from %s; not by hand. `+"`make mutate`"+` takes each check out of the source,
one at a time, and expects that its test fails.

`, table)
	pkg := ""
	for _, m := range mutations {
		if dir := filepath.Dir(m.File); dir != pkg {
			pkg = dir
			fmt.Fprintf(&out, "## %s\n\n| check | file | test |\n|---|---|---|\n", pkg)
		}
		fmt.Fprintf(&out, "| %s | %s | `%s` |\n", m.Check, filepath.Base(m.File), m.Test)
	}
	return out.Bytes()
}
