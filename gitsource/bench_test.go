package gitsource_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hiddeco/sshsig"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

const (
	benchFiles   = 10_000
	benchCommits = 1_000
)

// BenchmarkFetchAndVerify follows 1,000 signed commits of a repository of 10,000
// files from its first one, and runs git fetch of the same beside it.
func BenchmarkFetchAndVerify(b *testing.B) {
	key := gitsourcetest.NewSSHKey(b, "alice@example.com", "ed25519")
	repo := gitsourcetest.NewRepo(b)
	line := signedHistory(b, repo, key)
	url := gitsourcetest.Serve(b, repo.Dir)
	anchor, err := trust.ParseKeyring(map[string][]byte{"allowed_signers": []byte(key.Public())})
	require.NoError(b, err)
	ctx := context.Background()
	var first, fetch, verify, quiet, gitFirst, gitFetch time.Duration
	for b.Loop() {
		repo.Git("update-ref", "refs/heads/main", line[0])
		r, err := gitsource.Open(gitsource.Options{Dir: b.TempDir(), Sources: []gitsource.Source{{URL: url}}, Anchor: anchor})
		require.NoError(b, err)
		bare := filepath.Join(b.TempDir(), "bare")
		require.NoError(b, exec.Command("git", "init", "-q", "--bare", bare).Run())
		git := func() error {
			return exec.Command("git", "-C", bare, "fetch", "-q", url, "main:refs/heads/main").Run()
		}
		first += timed(b, func() error { return r.Fetch(ctx) })
		first += timed(b, func() error { _, err := r.Verify(ctx); return err })
		gitFirst += timed(b, git)
		repo.Git("update-ref", "refs/heads/main", line[len(line)-1])
		fetch += timed(b, func() error { return r.Fetch(ctx) })
		verify += timed(b, func() error { _, err := r.Verify(ctx); return err })
		gitFetch += timed(b, git)
		quiet += timed(b, func() error { return r.Fetch(ctx) })
		quiet += timed(b, func() error { _, err := r.Verify(ctx); return err })
		rev, _, err := r.Floor()
		require.NoError(b, err)
		require.Equal(b, line[len(line)-1], rev.Commit())
		require.NoError(b, r.Close())
	}
	n := float64(b.N)
	b.ReportMetric(first.Seconds()/n, "s/first-contact")
	b.ReportMetric(gitFirst.Seconds()/n, "s/git-first")
	b.ReportMetric(fetch.Seconds()/n, "s/fetch")
	b.ReportMetric(verify.Seconds()/n, "s/verify")
	b.ReportMetric(gitFetch.Seconds()/n, "s/git-fetch")
	b.ReportMetric((fetch+verify).Seconds()/gitFetch.Seconds(), "x-git-fetch")
	b.ReportMetric(1000*quiet.Seconds()/n, "ms/quiet-poll")
}

func timed(b *testing.B, f func() error) time.Duration {
	b.Helper()
	started := time.Now()
	require.NoError(b, f())
	return time.Since(started)
}

// signedHistory makes the commits with git fast-import, and signs them here,
// which takes a second instead of a minute; it returns them oldest first.
func signedHistory(b *testing.B, repo *gitsourcetest.Repo, key *gitsourcetest.Key) []string {
	b.Helper()
	var in bytes.Buffer
	for n := range benchCommits {
		fmt.Fprintf(&in, "commit refs/heads/unsigned\ncommitter A <a@example.com> %d +0000\ndata 1\nx\n", 1_700_000_000+n)
		if n == 0 {
			fmt.Fprintf(&in, "M 644 inline trust/allowed_signers\ndata %d\n%s\n", len(key.Public()), key.Public())
			for i := range benchFiles {
				fmt.Fprintf(&in, "M 644 inline sites/%d/%d.yaml\ndata %d\n%0*d\n", i/5, i, 400, 400, i)
			}
		}
		fmt.Fprintf(&in, "M 644 inline sites/%d/%d.yaml\ndata %d\n%0*d\n", n, n*5, 400, 400, n)
	}
	cmd := exec.Command("git", "-C", repo.Dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s", out)

	pem, err := os.ReadFile(key.PrivateFile())
	require.NoError(b, err)
	private, err := ssh.ParsePrivateKey(pem)
	require.NoError(b, err)
	dir, parent := b.TempDir(), ""
	var line, files []string
	for n, tree := range strings.Fields(repo.Git("log", "--reverse", "--format=%T", "unsigned")) {
		head := "tree " + tree + "\n"
		if parent != "" {
			head += "parent " + parent + "\n"
		}
		head += fmt.Sprintf("author A <a@example.com> %[1]d +0000\ncommitter A <a@example.com> %[1]d +0000\n", 1_700_000_000+n)
		sig, err := sshsig.Sign(strings.NewReader(head+"\nx\n"), private, sshsig.HashSHA512, "git")
		require.NoError(b, err)
		armored := strings.ReplaceAll(strings.TrimSpace(string(sshsig.Armor(sig))), "\n", "\n ")
		raw := []byte(head + "gpgsig " + armored + "\n\nx\n")
		file := filepath.Join(dir, fmt.Sprint(n))
		require.NoError(b, os.WriteFile(file, raw, 0o600))
		files = append(files, file)
		parent = plumbing.ComputeHash(plumbing.CommitObject, raw).String()
		line = append(line, parent)
	}
	cmd = exec.Command("git", "-C", repo.Dir, "hash-object", "-t", "commit", "-w", "--stdin-paths")
	cmd.Stdin = strings.NewReader(strings.Join(files, "\n") + "\n")
	out, err = cmd.Output()
	require.NoError(b, err)
	require.Equal(b, line, strings.Fields(string(out)))
	repo.Git("update-ref", "-d", "refs/heads/unsigned")
	repo.Git("update-ref", "refs/heads/main", parent)
	repo.Git("repack", "-q", "-ad")
	return line
}
