package gitsource

import (
	"context"
	"errors"
)

// Take reads a bundle that is in no folder, as if it were, and says which commit it
// claims to have. It counts until Forget.
func (r *Repository) Take(ctx context.Context, path string) (commit string, err error) {
	r.open.RLock()
	defer r.open.RUnlock()
	r.mu.Lock()
	r.taken[path] = true
	delete(r.files, path)
	r.mu.Unlock()
	err = r.fetchBundle(ctx, path)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.candidates[path]; c != nil {
		commit = c.tip.String()
	}
	return commit, err
}

// Forget is for a bundle that was taken and judged. What was accepted stays so.
func (r *Repository) Forget(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.taken, path)
	delete(r.files, path)
	delete(r.candidates, path)
	r.tags = nil
}

// RefusalOf finds in an error of Verify why what a source has is refused; nil if it
// is not. A source is known by its URL without credentials, or the path of the bundle.
func RefusalOf(err error, source string) error {
	switch e := err.(type) { //nolint:errorlint // it walks the whole tree itself
	case *Refused:
		if e.Source == source {
			return e.Reason
		}
	case interface{ Unwrap() error }:
		return RefusalOf(e.Unwrap(), source)
	case interface{ Unwrap() []error }:
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, RefusalOf(part, source))
		}
		return errors.Join(all...)
	}
	return nil
}
