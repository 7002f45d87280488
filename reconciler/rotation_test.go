package reconciler_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// A gate serves a repository to those who have one of its tokens.
type gate struct {
	url, ca string

	mu     sync.Mutex
	tokens []string
	asked  map[string]int // by token, served or not
}

func newGate(t *testing.T, dir string, tokens ...string) *gate {
	t.Helper()
	backend, err := gitsourcetest.Handler(filepath.Dir(dir))
	require.NoError(t, err)
	g := &gate{tokens: tokens, asked: map[string]int{}}
	ca := gitsourcetest.NewCA(t)
	g.ca = ca.File
	g.url = ca.ServeTLS(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		g.mu.Lock()
		g.asked[token]++
		good := slices.Contains(g.tokens, token)
		g.mu.Unlock()
		if !good {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}), false) + "/" + filepath.Base(dir)
	return g
}

func (g *gate) accept(tokens ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens = tokens
}

// askedAgain waits for so many more requests with a token.
func (g *gate) askedAgain(t *testing.T, token string, times int) {
	t.Helper()
	count := func() int { g.mu.Lock(); defer g.mu.Unlock(); return g.asked[token] }
	before := count()
	require.Eventually(t, func() bool { return count() >= before+times }, 2*time.Minute, 5*time.Millisecond)
}

// gated is a stage whose source wants a token that the host was installed with.
func gated(t *testing.T) (*stage, *gate) {
	s := newStage(t)
	g := newGate(t, s.repo.Dir, "0ld-t0ken")
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("0ld-t0ken\n"), 0o600))
	s.sources = []gitsource.Source{{URL: g.url, CAFile: g.ca, TokenFile: file}}
	return s, g
}

// rotate commits a source with credentials that are encrypted to key.
func (s *stage) rotate(g *gate, credentials, key string) string {
	s.t.Helper()
	const file = "sites/store/git.sops.yaml"
	doc, err := secrets.Encrypt(file, []byte(credentials), secrets.Rule{Recipients: []string{key}}, time.Now())
	require.NoError(s.t, err)
	ca, err := os.ReadFile(g.ca)
	require.NoError(s.t, err)
	return s.commit(map[string]string{
		file: string(doc), "bases/ca.pem": string(ca),
		"sites/store/site.yaml": object("Site", "store", fmt.Sprintf("spec:\n  profile: shop\n  sources:\n  - {git: %q, caFile: bases/ca.pem, credentials: %s}\n", g.url, file)),
	})
}

func (s *stage) restart() { s.end(); s.start() }

// proves waits until the sources of a commit are proven.
func (s *stage) proves(commit string) {
	s.t.Helper()
	s.until("proves "+commit, func(reconciler.Status) bool { return s.proven() == commit })
}

func (s *stage) proven() string {
	var kept struct{ Proven string }
	_, err := durable.ReadJSON(filepath.Join(s.dir, "sources.json"), &kept)
	require.NoError(s.t, err)
	return kept.Proven
}

func (s *stage) news() string {
	return s.commit(map[string]string{"news": fmt.Sprint(time.Now().UnixNano())})
}

func TestATokenRotatesByCommit(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(*stage){"while the agent runs": func(*stage) {}, "with a restart in each phase": (*stage).restart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, g := gated(t)
			first := s.begin(map[string]string{"base": "|text"})
			s.start()
			s.until("runs", runs(first))

			second := s.rotate(g, "token: n3w-t0ken\n", s.id.PublicKey())
			st := s.until("says that the new token is refused", fails(reconciler.PhaseSource, "not all new sources of revision "+second[:12]))
			require.Contains(t, st.Failures[0].Message, "git.sops.yaml")
			require.Contains(t, st.Failures[0].Message, "authentication required")
			require.NotContains(t, st.Failures[0].Message, "n3w-t0ken")
			require.Empty(t, s.proven())
			between(s)
			s.until("runs on with the old token", confirms(s.news()))

			g.accept("0ld-t0ken", "n3w-t0ken")
			s.proves(s.repo.Head())
			s.until("is well", runs(s.repo.Head()))
			between(s)

			g.accept("n3w-t0ken")
			s.until("runs with the new token", runs(s.news()))
			between(s)
			s.until("runs with the new token alone", runs(s.news()))

			g.accept("n3w-t0ken", "0ld-t0ken")
			back := s.rotate(g, "token: 0ld-t0ken\n", s.id.PublicKey())
			s.proves(back)
			g.accept("0ld-t0ken")
			between(s)
			s.until("runs with the old token again", runs(s.news()))
			s.end()
			notOnDisk(t, s.dir, "n3w-t0ken", "0ld-t0ken")
		})
	}
}

func confirms(commit string) func(reconciler.Status) bool {
	return func(st reconciler.Status) bool { return st.Confirmed != nil && st.Confirmed.Revision == commit }
}

func notOnDisk(t *testing.T, dir string, texts ...string) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		files++
		for _, text := range texts {
			require.False(t, bytes.Contains(data, []byte(text)), "%s holds %s", file, text)
		}
		return err
	}))
	require.Greater(t, files, 3)
}

func TestCredentialsThatDoNotWorkStrandNobody(t *testing.T) {
	t.Parallel()
	const stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"
	for _, tt := range []struct {
		name, credentials string
		key               string // "": the host's
		want              string
	}{
		{"a wrong token", "token: wr0ng\n", "", "authentication required"},
		{"a document that is not for this host", "token: n3w-t0ken\n", stranger, "no key fits"},
		{"half a credential", "username: wr0ng\n", "", "go together"},
		{"another kind of credential", "privateKey: wr0ng\n", "", "privateKey is no credential for https://"},
		{"an unknown key", "tokem: wr0ng\n", "", "tokem is no credential for https://"},
		{"two credentials", "token: wr0ng\nusername: me\npassword: wr0ng\n", "", "a token and a password are too much"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, g := gated(t)
			first := s.begin(map[string]string{"base": "|text"})
			s.start()
			s.until("runs", runs(first))
			key := tt.key
			if key == "" {
				key = s.id.PublicKey()
			}
			second := s.rotate(g, tt.credentials, key)
			st := s.until("says why", fails(reconciler.PhaseSource, tt.want))
			require.NotContains(t, st.Failures[0].Message, "wr0ng")
			require.NotEmpty(t, st.Failures[0].Hint)
			s.until("runs it all the same", confirms(second))
			s.restart()
			s.until("says why after a restart", fails(reconciler.PhaseSource, tt.want))
			require.Empty(t, s.proven())

			g.accept("0ld-t0ken", "n3w-t0ken")
			mended := s.rotate(g, "token: n3w-t0ken\n", s.id.PublicKey())
			s.proves(mended)
			g.accept("n3w-t0ken")
			s.until("runs with the mended one", runs(s.news()))
		})
	}
}

func TestAProvenSourceOutlivesABrokenSuccessor(t *testing.T) {
	t.Parallel()
	s, g := gated(t)
	s.begin(map[string]string{"base": "|text"})
	s.start()
	g.accept("0ld-t0ken", "n3w-t0ken")
	s.proves(s.rotate(g, "token: n3w-t0ken\n", s.id.PublicKey()))
	g.accept("n3w-t0ken") // the token that the host was installed with is worth nothing any more
	broken := s.rotate(g, "token: wr0ng\n", s.id.PublicKey())
	s.until("runs it all the same", confirms(broken))
	s.restart()
	s.until("says why", fails(reconciler.PhaseSource, "not all new sources"))
	s.until("runs on", confirms(s.news()))
	require.NotEqual(t, broken, s.proven())
}

func TestASourceMovesToAnotherServer(t *testing.T) {
	t.Parallel()
	s, g := gated(t)
	first := s.begin(map[string]string{"base": "|text"})
	behind := filepath.Join(t.TempDir(), "moved")
	s.repo.Git("clone", "-q", "--bare", s.repo.Dir, behind)
	s.start()
	s.until("runs", runs(first))
	moved := newGate(t, behind, "n3w-t0ken")
	second := s.rotate(moved, "token: n3w-t0ken\n", s.id.PublicKey())
	s.until("runs", confirms(second))
	moved.askedAgain(t, "n3w-t0ken", 5)
	s.until("says so", fails(reconciler.PhaseSource, "not all new sources"))
	require.Empty(t, s.proven(), "a server that answers, but lacks the newest revision, proves nothing")
	s.repo.Git("push", "-q", behind, "main")
	s.proves(second)
	g.accept()
	s.restart()
	s.until("says that the old server is gone", fails(reconciler.PhaseSource, g.url))
	third := s.news()
	s.repo.Git("push", "-q", behind, "main")
	s.until("runs what the new server has", confirms(third))

	g.accept("0ld-t0ken")
	back := s.commit(map[string]string{"sites/store/site.yaml": object("Site", "store", "spec: {profile: shop}\n")})
	s.repo.Git("push", "-q", behind, "main")
	s.proves(back)
	s.until("is well", runs(back))
	s.until("runs what the old server has", runs(s.news()))
}
