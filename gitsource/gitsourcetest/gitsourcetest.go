// Package gitsourcetest makes real fleet repositories with the real git, gpg and
// ssh-keygen for tests of what reads them.
package gitsourcetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// T is the part of testing.TB that is used here, so that programs can use it too.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// Repo is a repository with a working tree, on the branch main.
type Repo struct {
	Dir string
	t   T
	env []string
}

// NewRepo makes an empty repository in a temporary folder.
func NewRepo(t T) *Repo {
	t.Helper()
	return InitRepo(t, filepath.Join(t.TempDir(), "fleet"))
}

// InitRepo makes an empty repository at dir, which must not exist.
func InitRepo(t T, dir string) *Repo {
	t.Helper()
	r := &Repo{Dir: dir, t: t, env: append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME="+filepath.Dir(dir), "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Author", "GIT_AUTHOR_EMAIL=author@example.com",
		"GIT_COMMITTER_NAME=Committer", "GIT_COMMITTER_EMAIL=committer@example.com", "LC_ALL=C")}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("make repository: %v", err)
	}
	r.Git("init", "-q", "-b", "main")
	config := filepath.Join(dir, ".git", "config")
	writeFile(t, config, append(readFile(t, config), "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"...))
	return r
}

// Git runs git in the repository and returns its trimmed output.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.git(nil, args...)
}

func (r *Repo) git(env []string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	cmd.Env = append(append([]string{}, r.env...), env...)
	return run(r.t, cmd)
}

// Head is the commit that the branch points to, in hex.
func (r *Repo) Head() string {
	r.t.Helper()
	// Asked for at each commit: reading the two files spares as many processes.
	read := func(name string) string {
		data, _ := os.ReadFile(filepath.Join(r.Dir, ".git", filepath.FromSlash(name))) // else git tells
		return strings.TrimSpace(string(data))
	}
	branch, found := strings.CutPrefix(read("HEAD"), "ref: ")
	if commit := read(branch); found && len(commit) == 40 {
		return commit
	}
	return r.Git("rev-parse", "HEAD")
}

// Commit describes one commit. Its zero value is an unsigned commit of nothing, now.
type Commit struct {
	Message string            // "change" if empty
	By      *Key              // nil: unsigned
	At      time.Time         // author's and committer's time
	Files   map[string]string // path → content to write
	Remove  []string          // paths to delete
}

// Commit writes files and commits them; it returns the commit in hex.
func (r *Repo) Commit(c Commit) string {
	r.t.Helper()
	for path, content := range c.Files {
		r.Write(path, content)
	}
	for _, path := range c.Remove {
		if err := os.RemoveAll(filepath.Join(r.Dir, filepath.FromSlash(path))); err != nil {
			r.t.Fatalf("remove %s: %v", path, err)
		}
	}
	r.Git("add", "-A")
	return r.CommitIndex(c)
}

// CommitIndex commits what is staged, and leaves the working tree alone.
func (r *Repo) CommitIndex(c Commit) string {
	r.t.Helper()
	if c.Message == "" {
		c.Message = "change"
	}
	args := []string{"-c", "commit.gpgSign=false"}
	if c.By != nil {
		args = append(c.By.config(), "-c", "commit.gpgSign=true")
	}
	var env []string
	if !c.At.IsZero() {
		stamp := fmt.Sprintf("%d +0000", c.At.Unix())
		env = []string{"GIT_AUTHOR_DATE=" + stamp, "GIT_COMMITTER_DATE=" + stamp}
	}
	if c.By != nil {
		env = append(env, c.By.env()...)
	}
	r.git(env, append(args, "commit", "-q", "--allow-empty", "-m", c.Message)...)
	return r.Head()
}

// Tag describes an annotated tag.
type Tag struct {
	Name string
	On   string    // what it names; "HEAD" if empty
	By   *Key      // nil: unsigned
	At   time.Time // tagger's time; zero: now
}

// Tag makes an annotated tag, or moves it, with git itself.
func (r *Repo) Tag(tag Tag) {
	r.t.Helper()
	if tag.On == "" {
		tag.On = "HEAD"
	}
	var args, env []string
	sign := "-a"
	if tag.By != nil {
		args, env, sign = tag.By.config(), tag.By.env(), "-s"
	}
	if !tag.At.IsZero() {
		env = append(env, fmt.Sprintf("GIT_COMMITTER_DATE=%d +0000", tag.At.Unix()))
	}
	r.git(env, append(args, "tag", "-f", sign, "-m", "tag "+tag.Name, tag.Name, tag.On)...)
}

// Write writes a file of the working tree.
func (r *Repo) Write(path, content string) {
	r.t.Helper()
	full := filepath.Join(r.Dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		r.t.Fatalf("write %s: %v", path, err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		r.t.Fatalf("write %s: %v", path, err)
	}
}

// Bundle writes a bundle with git itself; revs default to main.
func (r *Repo) Bundle(path string, revs ...string) {
	r.t.Helper()
	if len(revs) == 0 {
		revs = []string{"main"}
	}
	r.Git(append([]string{"bundle", "create", "-q", path}, revs...)...)
}

func run(t T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}
