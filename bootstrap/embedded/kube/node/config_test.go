package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func listen(path string) (net.Listener, error) { return net.Listen("unix", path) }

func TestReadConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"the least", `{"dir": "/d", "processes": []}`, ""},
		{"an unknown field", `{"dir": "/d", "prosesses": []}`, `unknown field "prosesses"`},
		{"no directory", `{}`, "dir is missing"},
		{"a process without a program", `{"dir": "/d", "processes": [{"name": "a"}]}`, "needs a name and args"},
		{"too much", `{"dir": "` + strings.Repeat("d", maxConfig) + `"}`, "larger than"},
		{"nothing", ``, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "node.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readConfig(path)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestALogIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 999) + "\n"
	for range 3 * maxLog / len(line) {
		if _, err := l.pipe.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.pipe.WriteString("the last line\n"); err != nil {
		t.Fatal(err)
	}
	l.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		data, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(string(data), "the last line\n") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the last line never came")
		}
	}
	for _, file := range []string{path, path + ".1"} {
		info, err := os.Stat(file)
		if err != nil || info.Size() > maxLog || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", file, info, err)
		}
	}
}

func FuzzReadConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "node.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := readConfig(path)
		if err == nil && cfg.Dir == "" {
			t.Fatal("accepted without a directory")
		}
	})
}

func TestFuzzCorpusIsNotEmpty(t *testing.T) {
	t.Parallel()
	seeds, err := os.ReadDir("testdata/fuzz/FuzzReadConfig")
	if err != nil || len(seeds) == 0 {
		t.Fatal("no seeds", err)
	}
}
