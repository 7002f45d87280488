package gitsource

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

// errNoRelease reports a first contact with a fleet that released nothing yet.
var errNoRelease = errors.New("no signed tag has released a revision yet")

// tagIndex finds tags by the commit that they name.
type tagIndex struct {
	list []*tag // by name, then by object
	of   map[plumbing.Hash][]*tag
	// heads are the commits that tags name, once they were read; nil if malformed.
	heads map[plumbing.Hash]*commit
}

func newTagIndex(tags []*tag) *tagIndex {
	slices.SortFunc(tags, func(a, b *tag) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.hash.String(), b.hash.String())
	})
	tags = slices.CompactFunc(tags, func(a, b *tag) bool { return a.name == b.name && a.hash == b.hash })
	index := &tagIndex{list: tags, of: make(map[plumbing.Hash][]*tag), heads: make(map[plumbing.Hash]*commit)}
	for _, t := range tags {
		index.of[t.target] = append(index.of[t.target], t)
	}
	return index
}

// head reads the commit that a tag names; it returns nil if that is none that Git
// would write.
func (x *tagIndex) head(s *store, t *tag) (*commit, error) {
	if c, known := x.heads[t.target]; known {
		return c, nil
	}
	c, err := s.commit(t.target)
	if isDamage(err) {
		return nil, err
	}
	x.heads[t.target] = c
	return c, nil
}

// approvals lists the tags that approve exactly this commit.
func (x *tagIndex) approvals(c plumbing.Hash) []*tag {
	var list []*tag
	for _, t := range x.of[c] {
		if strings.HasPrefix(t.name, trust.ApprovalPrefix) {
			list = append(list, t)
		}
	}
	return list
}

// releases lists the tags that release this commit by the pattern of a policy.
func (x *tagIndex) releases(c plumbing.Hash, policy *trust.Policy) []*tag {
	var list []*tag
	for _, t := range x.of[c] {
		if policy.IsRelease(t.name) {
			list = append(list, t)
		}
	}
	return list
}

// next takes one step from reached along line, which holds the commits after it,
// oldest first: in commit mode to the next commit, in releases mode to the next
// one that a tag releases and those who may change what changed since vouch for.
// So a host comes to the same revision however often it looks. It returns nil if
// there is no step, and then, if one was tried, which commit was refused and why.
func (j *court) next(reached *floor, line []*commit) (*floor, int, *Refused, error) {
	folder, err := j.trustOf(reached.tree())
	if err != nil {
		return nil, 0, nil, err
	}
	var refused *Refused
	for i, c := range line {
		judge := j.vouched
		if folder.policy.Releases() {
			if len(j.tags.releases(c.hash, folder.policy)) == 0 {
				continue
			}
			judge = j.released
		}
		h, err := judge(c, reached)
		switch {
		case isDamage(err):
			return nil, 0, nil, err
		case err != nil:
			refused = &Refused{Commit: c.hash.String(), Reason: err}
		case h.refusal == nil:
			to := j.floor(c, h.signer, reached.Bound)
			return &to, i + 1, nil, nil
		default:
			refused = &Refused{Commit: c.hash.String(), Reason: h.refusal}
		}
		if !folder.policy.Releases() {
			break
		}
	}
	return nil, 0, refused, nil
}

// released decides about a commit that tags release, by the trust folder of the
// revision reached, over all that changed since. The tags that release it count,
// and those that approve one of them by name: approve/<release>/<anything>. An
// approval of the commit alone does not, as it speaks for that commit's change.
func (j *court) released(c *commit, reached *floor) (*hearing, error) {
	folder, err := j.trustOf(reached.tree())
	if err != nil {
		return nil, err
	}
	at := latest(c.time, reached.Bound)
	h := &hearing{folder: folder, vouchers: j.releaseVouchers(c, folder, at)}
	if err := h.decide(j.store, reached.tree(), c.tree); err != nil {
		return nil, err
	}
	if errors.Is(h.refusal, trust.ErrTooFew) {
		release := h.vouchers[slices.IndexFunc(h.vouchers, func(v Voucher) bool { return v.err == nil })].By
		h.refusal = &hinted{h.refusal, approveTip(release)}
	}
	return h, j.leaves(h, c, at)
}

// releaseVouchers weighs the tags that release a commit, and, if one of them is
// good, the approvals of that one.
func (j *court) releaseVouchers(c *commit, folder *trustFolder, at time.Time) []Voucher {
	var vouchers []Voucher
	var released []string
	for _, t := range j.tags.releases(c.hash, folder.policy) {
		v := j.weighTag(folder, t, at)
		if vouchers = append(vouchers, v); v.err == nil {
			released = append(released, trust.ApprovalPrefix+t.name+"/")
		}
	}
	for _, t := range j.tags.approvals(c.hash) {
		if slices.ContainsFunc(released, func(prefix string) bool { return strings.HasPrefix(t.name, prefix) }) {
			vouchers = append(vouchers, j.weighTag(folder, t, at))
		}
	}
	return vouchers
}

// contact finds the first revision of a host on the first-parent line of tip: the
// tip, if the anchor signed or approved it or the head that it merges, or in releases
// mode the newest commit that the anchor released.
func (j *court) contact(tip *commit) (*floor, error) {
	folder, err := j.trustOf(tip.tree)
	if err != nil {
		return nil, err
	}
	keys := &trustFolder{keys: j.anchor, policy: folder.policy}
	if !folder.policy.Releases() {
		return j.contactCommit(tip, keys)
	}
	reason := errNoRelease
	for c := tip; ; {
		if len(j.tags.of[c.hash]) > 0 {
			first, err := j.contactRelease(c, keys)
			switch {
			case isDamage(err):
				return nil, err
			case first != nil:
				return first, nil
			case err != nil && errors.Is(reason, errNoRelease):
				reason = err
			}
		}
		if len(c.parents) == 0 {
			return nil, reason
		}
		if c, err = j.store.commit(c.parents[0]); err != nil {
			return nil, err
		}
	}
}

func (j *court) contactCommit(c *commit, keys *trustFolder) (*floor, error) {
	vouchers := []Voucher{j.weigh(keys, c.payload, c.signature, c.time)}
	for _, t := range j.tags.approvals(c.hash) {
		vouchers = append(vouchers, j.weighTag(keys, t, c.time))
	}
	if len(good(vouchers)) == 0 && len(c.parents) > 0 {
		heads, err := j.heads(c, &floor{Commit: c.parents[0].String()}, keys)
		if err != nil {
			return nil, err
		}
		vouchers = append(vouchers, heads...)
	}
	return j.begin(c, vouchers)
}

// contactRelease returns nil if no tag releases c. The commit's own policy says
// which tags do: the tip's may be by anybody.
func (j *court) contactRelease(c *commit, keys *trustFolder) (*floor, error) {
	own, err := j.trustOf(c.tree)
	if err != nil || !own.policy.Releases() {
		return nil, err
	}
	vouchers := j.releaseVouchers(c, &trustFolder{keys: keys.keys, policy: own.policy}, c.time)
	if len(vouchers) == 0 {
		return nil, nil
	}
	return j.begin(c, vouchers)
}

// begin makes a floor of a commit that one of the anchor's keys vouches for.
func (j *court) begin(c *commit, vouchers []Voucher) (*floor, error) {
	signers := good(vouchers)
	if len(signers) == 0 {
		return nil, vouchers[0].err
	}
	if err := j.loads(c.tree, nil, time.Time{}); err != nil {
		return nil, err
	}
	first := j.floor(c, signers[0], time.Time{})
	return &first, nil
}
