package support

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// least is how many bytes a secret has: what is shorter is a word like any other.
const least = 4

// Redactor takes secrets out of text: those that it was told, in whatever form they
// are written, and what looks like one.
type Redactor struct {
	known []string // longest first
}

// Hide adds a secret. Of one with many lines, each counts by itself.
func (r *Redactor) Hide(secret string) {
	for _, whole := range []string{secret, strings.TrimSpace(secret)} {
		r.add(whole)
	}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			r.add(line)
		}
	}
	slices.SortFunc(r.known, func(a, b string) int { return len(b) - len(a) })
	r.known = slices.Compact(r.known)
}

func (r *Redactor) add(secret string) {
	if len(secret) < least {
		return
	}
	quoted, err := json.Marshal(secret)
	if err != nil {
		quoted = nil
	}
	for _, form := range []string{
		secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		if len(form) >= least && !slices.Contains(r.known, form) {
			r.known = append(r.known, form)
		}
	}
}

// Text returns text without secrets.
func (r *Redactor) Text(text string) string {
	for _, secret := range r.known {
		text = strings.ReplaceAll(text, secret, Redacted)
	}
	for _, p := range patterns {
		text = p.what.ReplaceAllString(text, p.with)
	}
	return text
}

// patterns are what secrets look like that nobody told of.
var patterns = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----[A-Za-z0-9+/=\s\\:,.-]*`), Redacted}, // and what follows, as far as it may be one,
	{regexp.MustCompile(`(?i)AGE-SECRET-KEY-1[0-9a-z]+`), Redacted},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)?`), Redacted}, // JSON web tokens
	{regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), Redacted},                                // kubeadm's tokens
	{regexp.MustCompile(`\b(gh[pousr]|glpat|github_pat)[-_][A-Za-z0-9_-]{16,}`), Redacted},
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s"'<>@]*@`), "${1}" + Redacted + "@"},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`), "${1} " + Redacted},
	{regexp.MustCompile(`(?i)(password|passwd|passphrase|secret|token|api[-_]?key|private[-_]?key|key-data)(\\?["']?\s*[:=]\s*\\?["']?)([^\s"',;\\}\]]{4,})`), "${1}${2}" + Redacted},
}
