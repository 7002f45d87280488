package gitsource

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

const (
	trustPath  = "trust"
	policyName = "policy.yaml"
)

// court judges commits of one store by the trust folders that are in it.
type court struct {
	store    *store
	anchor   *trust.Keyring                 // vouches for the first revision, and where no key is in the folder
	recovery *trust.Keyring                 // may change the folder trust whatever a policy says; nil: nobody
	trusts   map[plumbing.Hash]*trustFolder // the folder read last, by its tree
	tags     *tagIndex
	limit    time.Time // of the time that a commit sets for those after it; zero: none
}

// trustFolder is the trust folder of a tree, read.
type trustFolder struct {
	tree   plumbing.Hash
	keys   *trust.Keyring
	policy *trust.Policy
}

// Voucher is a signature that speaks for a commit.
type Voucher struct {
	trust.Signer
	By string `json:"by"` // "commit", or the name of a tag
	// Problem says why it does not count; empty if it does.
	Problem string `json:"problem,omitempty"`

	err error
}

const byCommit = "commit"

// weigh checks one signature by the keys of folder, and by those of recovery.
func (j *court) weigh(folder *trustFolder, payload, signature []byte, at time.Time) (v Voucher) {
	if v.Signer, v.err = folder.keys.Verify(payload, signature, at); v.err == nil {
		return v
	}
	if j.recovery != nil {
		if signer, err := j.recovery.Verify(payload, signature, at); err == nil {
			signer.Recovery = true
			return Voucher{Signer: signer}
		}
	}
	v.Problem = v.err.Error()
	return v
}

func (j *court) weighTag(folder *trustFolder, t *tag, at time.Time) Voucher {
	v := j.weigh(folder, t.payload, t.signature, latest(t.time, at))
	v.By = t.name
	if v.err != nil {
		v.err = fmt.Errorf("tag %s: %w", t.name, v.err)
	}
	return v
}

// good returns those whose signatures count.
func good(vouchers []Voucher) []trust.Signer {
	var signers []trust.Signer
	for _, v := range vouchers {
		if v.err == nil {
			signers = append(signers, v.Signer)
		}
	}
	return signers
}

// hearing is what was said about a change, and what came of it.
type hearing struct {
	folder   *trustFolder // that judges
	vouchers []Voucher
	paths    []string     // that change
	signer   trust.Signer // one who may be named for all
	refusal  error        // nil: accepted
}

// vouched decides about a commit by the trust folder of its parent's tree, which
// the host has reached: by its own signature, and by approvals of it. The error
// is one that keeps it from deciding.
func (j *court) vouched(c *commit, reached *floor) (*hearing, error) {
	folder, err := j.trustOf(reached.tree())
	if err != nil {
		return nil, err
	}
	at := latest(c.time, reached.Bound)
	own := j.weigh(folder, c.payload, c.signature, at)
	own.By = byCommit
	h := &hearing{folder: folder, vouchers: []Voucher{own}}
	for _, t := range j.tags.approvals(c.hash) {
		h.vouchers = append(h.vouchers, j.weighTag(folder, t, at))
	}
	if err := h.decide(j.store, reached.tree(), c.tree); err != nil {
		return nil, err
	}
	if h.refusal != nil {
		heads, err := j.heads(c, reached, folder)
		if err != nil {
			return nil, err
		}
		h.vouchers = append(h.vouchers, heads...)
		if err := h.decide(j.store, reached.tree(), c.tree); err != nil {
			return nil, err
		}
	}
	return h, j.leaves(h, c, at)
}

// decide applies the policy to what differs between two trees. If nobody at all
// vouches, the reason is that of the first signature.
func (h *hearing) decide(s *store, before, after plumbing.Hash) (err error) {
	signers := good(h.vouchers)
	if len(signers) == 0 || h.folder.policy.NeedsPaths(signers) {
		if h.paths, err = s.changes(before, after); err != nil {
			return err
		}
	}
	switch {
	case len(signers) > 0:
		h.signer, h.refusal = signers[0], h.folder.policy.Check(signers, h.paths)
	case len(h.vouchers) > 0:
		h.refusal = h.vouchers[0].err
	default:
		h.refusal = trust.ErrUnsigned
	}
	return nil
}

// leaves refuses what was accepted if nothing after it could be judged.
func (j *court) leaves(h *hearing, c *commit, at time.Time) error {
	if h.refusal != nil {
		return nil
	}
	h.refusal = j.loads(c.tree, h.folder, at)
	if isDamage(h.refusal) {
		return h.refusal
	}
	return nil
}

// heads lists good approvals of heads of pull requests that a commit merges: its
// tree is the head's, and its first parent an ancestor of the head. So what was
// approved is what is there, built on what is there.
func (j *court) heads(c *commit, reached *floor, folder *trustFolder) ([]Voucher, error) {
	var vouchers []Voucher
	covers := make(map[plumbing.Hash]bool)
	for _, t := range j.tags.list {
		// Who approved what is there already has not approved an empty commit on it.
		if t.target == c.hash || t.target == reached.hash() || !strings.HasPrefix(t.name, trust.ApprovalPrefix) {
			continue
		}
		head, err := j.tags.head(j.store, t)
		if err != nil {
			return nil, err
		}
		if head == nil || head.tree != c.tree {
			continue
		}
		v := j.weighTag(folder, t, latest(c.time, reached.Bound))
		if v.err != nil {
			continue // the walk is only for those whom it could help
		}
		covered, known := covers[head.hash]
		if !known {
			if covered, err = j.store.reaches(head, reached.hash()); err != nil {
				return nil, err
			}
			covers[head.hash] = covered
		}
		if covered {
			vouchers = append(vouchers, v)
		}
	}
	return vouchers, nil
}

// maxReach is how many commits are looked at to find out what a head builds on.
const maxReach = 10_000

// reaches tells whether ancestor is head or before it, nearest commits first.
func (s *store) reaches(head *commit, ancestor plumbing.Hash) (bool, error) {
	queue, seen := []*commit{head}, map[plumbing.Hash]bool{head.hash: true}
	for len(queue) > 0 && len(seen) < maxReach {
		c := queue[0]
		queue = queue[1:]
		if c.hash == ancestor || slices.Contains(c.parents, ancestor) {
			return true, nil
		}
		for _, h := range c.parents {
			if seen[h] {
				continue
			}
			seen[h] = true
			parent, err := s.commit(h)
			switch {
			case isDamage(err):
				return false, err
			case err != nil:
				continue // no commit that Git would write: no way leads through it
			}
			queue = append(queue, parent)
		}
	}
	return false, nil
}

// loads makes sure that what follows a commit can be judged: a trust folder that
// does not load, or a rule that nobody can satisfy, would stop the fleet for good.
// What did not change is not held against a commit.
func (j *court) loads(tree plumbing.Hash, before *trustFolder, at time.Time) error {
	folder, err := j.trustOf(tree)
	if err != nil || (before != nil && folder.tree == before.tree) {
		return err
	}
	return folder.policy.Satisfiable(folder.keys, at)
}

// trustOf reads the trust folder of a tree. Without a key in it, the anchor's
// vouch; without a policy, each key may change everything.
func (j *court) trustOf(tree plumbing.Hash) (*trustFolder, error) {
	entries, err := j.store.trees.read(j.store, tree)
	if err != nil {
		return nil, err
	}
	folder := &trustFolder{}
	for _, e := range entries {
		if e.name != trustPath {
			continue
		}
		if e.mode != modeFolder {
			return nil, &trust.Problem{File: trustPath, Msg: "is not a folder"}
		}
		if known := j.trusts[e.hash]; known != nil {
			return known, nil
		}
		if folder, err = j.readTrust(e.hash); err != nil {
			return nil, err
		}
	}
	if folder.keys == nil || folder.keys.Len() == 0 {
		folder.keys = j.anchor
	}
	if folder.policy == nil {
		folder.policy = trust.EveryKey(folder.keys)
	}
	clear(j.trusts)
	j.trusts[folder.tree] = folder
	return folder, nil
}

func (j *court) readTrust(tree plumbing.Hash) (*trustFolder, error) {
	entries, err := j.store.tree(tree)
	if err != nil {
		return nil, err
	}
	folder, files := &trustFolder{tree: tree}, make(map[string][]byte)
	for _, e := range entries {
		name := path.Join(trustPath, e.name)
		if e.name != policyName && e.name != "allowed_signers" && !strings.HasSuffix(e.name, ".asc") {
			continue
		}
		if e.mode != modeFile && e.mode != modeExecutable {
			return nil, &trust.Problem{File: name, Msg: "is not a regular file"}
		}
		data, err := j.store.read(e.hash, plumbing.BlobObject, maxFile)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if e.name != policyName {
			files[name] = data
			continue
		}
		if folder.policy, err = trust.ParsePolicy(name, data); err != nil {
			return nil, err
		}
	}
	if folder.keys, err = trust.ParseKeyring(files); err != nil {
		return nil, err
	}
	return folder, nil
}
