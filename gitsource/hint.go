package gitsource

import (
	"errors"

	"github.com/holdfast-fleet/holdfast/trust"
)

// errBundle reports a file that is no whole bundle, or none for this host.
var errBundle = errors.New("not a usable bundle")

// bundleError is a reason that lies in the file, not in its commits.
type bundleError struct{ error }

func (b bundleError) Unwrap() error { return b.error }

func (b bundleError) Is(target error) bool { return target == errBundle }

// Hint says what a person can do about a refusal; it is empty if nothing helps.
func (r *Refused) Hint() string {
	tip := hint(r.Reason)
	if tip == approveTip("COMMIT") && len(r.Commit) >= 12 {
		tip = approveTip(r.Commit[:12])
	}
	return tip
}

// approveTip says how to approve a commit, or a release by the name of its tag.
func approveTip(what string) string {
	return "have one of them run: holdfast approve " + what + " --push origin; it counts also when it comes late"
}

func hint(reason error) string {
	var h interface{ Hint() string }
	if errors.As(reason, &h) {
		return h.Hint()
	}
	for _, known := range []struct {
		reason error
		tip    string
	}{
		{trust.ErrUnsigned, "sign it: git commit -S, with a key that is in trust/"},
		{trust.ErrUnknownSigner, "sign it with a key that is in trust/, or have somebody whose key is there add this one first"},
		{trust.ErrExpired, "sign it anew with a key that is valid, or extend the key and commit its public half first"},
		{trust.ErrRevoked, "sign it anew with another key"},
		{trust.ErrWeak, "sign it with an ed25519 key, or RSA of at least 2048 bits, over SHA-256 or better"},
		{trust.ErrBadSignature, "it was changed after it was signed, or not signed by Git: sign it anew"},
		{trust.ErrForbiddenPath, "have it signed by somebody whom trust/policy.yaml lets change this path"},
		{trust.ErrTooFew, approveTip("COMMIT")},
		{errNoRelease, "release a commit: git tag -s v1, by a key of the anchor, and push the tag"},
		{ErrOlder, "bring what is newer; what this host has accepted it never takes back"},
		{ErrRewritten, "push the history that hosts know, and new commits on top of it; to undo a commit, revert it"},
		{errBundle, "write it anew with \"holdfast bundle create\", which makes it whole, and copy it again"},
	} {
		if errors.Is(reason, known.reason) {
			return known.tip
		}
	}
	return ""
}

// hinted is an error with what a person can do about it.
type hinted struct {
	error
	tip string
}

func (h *hinted) Unwrap() error { return h.error }

// Hint says what.
func (h *hinted) Hint() string { return h.tip }
