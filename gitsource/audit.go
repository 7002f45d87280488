package gitsource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

// Audit says of the commits of somebody's clone what hosts say of them. Its tags
// are those of the clone.
type Audit struct {
	repo   *git.Repository
	court  *court
	bounds map[plumbing.Hash]*floor
}

// Verdict is what hosts say of one change, and why.
type Verdict struct {
	Commit   string       `json:"commit"`         // hex
	Base     string       `json:"base,omitempty"` // whose trust folder judges; empty at the beginning of history
	Subject  string       `json:"subject"`        // first line of its message
	Mode     string       `json:"mode"`           // commit or releases
	Waits    bool         `json:"waits"`          // no tag releases it yet, so it is not judged
	Accepted bool         `json:"accepted"`
	Reason   string       `json:"reason,omitempty"` // why it is not accepted
	Warning  string       `json:"warning,omitempty"`
	Vouchers []Voucher    `json:"vouchers"`
	Needs    []trust.Need `json:"needs"`

	// Err is the reason as an error, with a hint.
	Err error `json:"-"`
}

// OpenAudit opens the repository at dir, or above it. Where trust/ holds no key,
// those of anchor vouch, which may be nil.
func OpenAudit(dir string, anchor *trust.Keyring) (*Audit, error) {
	repo, err := openClone(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	storage, ok := repo.Storer.(*borrowing)
	if !ok {
		return nil, fmt.Errorf("open %s: not a repository on disk", dir)
	}
	if anchor == nil {
		anchor = new(trust.Keyring)
	}
	tags, err := signedTags(repo)
	if err != nil {
		return nil, fmt.Errorf("read the tags of %s: %w", dir, err)
	}
	return &Audit{
		repo: repo, bounds: make(map[plumbing.Hash]*floor),
		court: &court{store: &store{git: newStorage(storage.Filesystem(), osfs.New("/"))}, anchor: anchor, trusts: make(map[plumbing.Hash]*trustFolder), tags: newTagIndex(tags), limit: time.Now().Add(ahead)},
	}, nil
}

// Resolve finds a commit by any name that git gives it, in hex.
func (a *Audit) Resolve(name string) (string, error) {
	h, err := a.repo.ResolveRevision(plumbing.Revision(name))
	if err != nil {
		return "", &hinted{fmt.Errorf("there is no commit %s here", clip(name)), "git fetch --tags brings what is missing"}
	}
	return h.String(), nil
}

// Explain judges a commit as a host does that has followed its history from the
// beginning: by the trust folder of its first parent, or, in releases mode, by
// that of the commit released before it.
func (a *Audit) Explain(name string) (Verdict, error) {
	c, err := a.commit(name)
	if err != nil {
		return Verdict{}, err
	}
	v, err := a.explain(c)
	if err != nil {
		return v, fmt.Errorf("explain %s: %w", clip(name), shallow(err))
	}
	return v, nil
}

func (a *Audit) commit(name string) (*commit, error) {
	full, err := a.Resolve(name)
	if err != nil {
		return nil, err
	}
	c, err := a.court.store.commit(plumbing.NewHash(full))
	if err != nil {
		return nil, shallow(err)
	}
	return c, nil
}

func shallow(err error) error {
	if errors.Is(err, errMissing) {
		return &hinted{err, "the clone is not complete: git fetch --unshallow --tags"}
	}
	return err
}

func (a *Audit) explain(c *commit) (Verdict, error) {
	v := Verdict{Commit: c.hash.String(), Subject: c.subject(), Mode: "commit", Warning: a.tooNew(c)}
	if len(c.parents) == 0 {
		v.Accepted, v.Reason = true, "the beginning of history: the anchor of a host decides"
		return v, nil
	}
	base, err := a.reached(c.parents[0])
	if err != nil {
		return v, err
	}
	folder, err := a.court.trustOf(base.tree())
	if err != nil {
		return v, fmt.Errorf("the trust folder of %.12s: %w", base.Commit, err)
	}
	judge := a.court.vouched
	if folder.policy.Releases() {
		v.Mode, judge = "releases", a.court.released
		if base, err = a.releasedBefore(c); err != nil {
			return v, err
		}
		v.Waits = len(a.court.tags.releases(c.hash, folder.policy)) == 0
	}
	h, err := judge(c, base)
	if err != nil {
		return v, err
	}
	v.Base = base.Commit
	if !folder.policy.Releases() {
		h.vouchers = append(h.vouchers, a.beside(c, h.vouchers)...)
	}
	v.take(h)
	if v.Waits {
		v.Reason, v.Err = "", nil
	}
	return v, nil
}

// tooNew warns of a commit that is dated ahead of time.
func (a *Audit) tooNew(c *commit) string {
	if !c.time.After(a.court.limit) {
		return ""
	}
	return "it is dated " + c.time.Format(time.RFC3339) + ", over a day ahead: hosts judge it by the keys that are valid then"
}

// beside lists approvals of what a commit merges that do not cover it.
func (a *Audit) beside(c *commit, known []Voucher) []Voucher {
	var list []Voucher
	for _, parent := range c.parents[1:] {
		for _, t := range a.court.tags.approvals(parent) {
			if slices.ContainsFunc(known, func(v Voucher) bool { return v.By == t.name }) {
				continue
			}
			err := fmt.Errorf("it approves %.12s, which has other files or does not build on the first parent, or by a key that does not count", parent)
			list = append(list, Voucher{By: t.name, Problem: err.Error(), err: err})
		}
	}
	return list
}

func (v *Verdict) take(h *hearing) {
	v.Accepted, v.Vouchers = h.refusal == nil, append([]Voucher{}, h.vouchers...)
	v.Needs = append([]trust.Need{}, h.folder.policy.Needs(good(h.vouchers), h.paths)...)
	if h.refusal != nil {
		v.Reason, v.Err = h.refusal.Error(), &hinted{h.refusal, hint(h.refusal)}
	}
}

// reached is the floor of a host that has accepted every commit up to h: no
// signature is judged at an earlier time than that of a commit before it.
func (a *Audit) reached(h plumbing.Hash) (*floor, error) {
	var line []*commit
	var last *floor
	for {
		if last = a.bounds[h]; last != nil {
			break
		}
		c, err := a.court.store.commit(h)
		if err != nil {
			return nil, err
		}
		line = append(line, c)
		if len(c.parents) == 0 {
			last = &floor{}
			break
		}
		h = c.parents[0]
	}
	for _, c := range slices.Backward(line) {
		next := a.court.floor(c, trust.Signer{}, last.Bound)
		a.bounds[c.hash], last = &next, &next
	}
	return last, nil
}

// releasedBefore is where a host is before it comes to c: at the newest commit
// before it that a good tag releases by its own policy, or that was accepted in
// mode commit, or the first one of history.
func (a *Audit) releasedBefore(c *commit) (*floor, error) {
	for len(c.parents) > 0 {
		var err error
		if c, err = a.court.store.commit(c.parents[0]); err != nil {
			return nil, err
		}
		if there, err := a.stops(c); err != nil {
			return nil, err
		} else if there {
			break
		}
	}
	return a.reached(c.hash)
}

func (a *Audit) stops(c *commit) (bool, error) {
	if len(a.court.tags.of[c.hash]) > 0 {
		folder, err := a.court.trustOf(c.tree)
		if isDamage(err) {
			return false, err
		}
		if err == nil && len(good(a.court.releaseVouchers(c, folder, c.time))) > 0 {
			return true, nil
		}
	}
	if len(c.parents) == 0 {
		return true, nil
	}
	parent, err := a.court.store.commit(c.parents[0])
	if err != nil {
		return false, err
	}
	folder, err := a.court.trustOf(parent.tree)
	if err != nil {
		return false, err
	}
	return !folder.policy.Releases(), nil
}

// Log judges the last n commits of the first-parent line of a commit, newest first.
func (a *Audit) Log(name string, n int) ([]Verdict, error) {
	c, err := a.commit(name)
	if err != nil {
		return nil, err
	}
	var list []Verdict
	for len(list) < n {
		v, err := a.explain(c)
		if err != nil {
			return nil, fmt.Errorf("explain %.12s: %w", c.hash, shallow(err))
		}
		if list = append(list, v); len(c.parents) == 0 {
			break
		}
		if c, err = a.court.store.commit(c.parents[0]); err != nil {
			return nil, shallow(err)
		}
	}
	return list, nil
}

// subject is the first line of a commit's message.
func (c *commit) subject() string {
	_, message, _ := strings.Cut(string(c.payload), "\n\n")
	line, _, _ := strings.Cut(message, "\n")
	return line
}
