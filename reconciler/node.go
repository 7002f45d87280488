package reconciler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// bootstrap brings the node up, after all that it and the layers need is known
// to be there, and connects to the cluster.
func (s *session) bootstrap(ctx context.Context, t target) error {
	node, hidden, err := t.Desired.Node.Open(s.Secrets)
	if err != nil {
		return err
	}
	dist, err := fleet.ParseDistribution(node.Distribution)
	if err != nil {
		return mask(err, hidden)
	}
	driver, err := s.Driver(dist.Type)
	if err != nil {
		return err
	}
	if err := s.checkContent(driver.Needs(dist), t.Desired); err != nil {
		return err
	}
	var mayGoBack []string
	if s.rendered != nil && s.rendered.Commit.Revision == t.Commit.Revision && (s.confirmed == nil || s.confirmed.Commit.Revision != t.Commit.Revision) {
		mayGoBack = s.mayGoBack
	}
	anew := s.tryAnew
	s.tryAnew = false
	from, err := s.ordered(t, dist)
	if err != nil {
		return err
	}
	access, err := driver.Ensure(ctx, bootstrap.Request{
		Dir:          s.Dir + "/" + dist.Type,
		Host:         t.Desired.Host,
		Members:      t.Members,
		Removed:      t.Removed,
		Peers:        s.Peers,
		Distribution: dist,
		Content:      t.Desired.Node.Content,
		Images:       locked(t.Desired.Cluster.Images),
		Downgrades:   mayGoBack,
		Anew:         anew,
		From:         from,
		Store:        s.Content,
		Log:          s.Log,
	})
	if err = mask(err, hidden); err != nil {
		return fmt.Errorf("bootstrap %s %s: %w", dist.Type, dist.Version, err)
	}
	if from != "" {
		if err := s.restored(); err != nil {
			return err
		}
	}
	if t.worker() || s.cluster != nil && s.access == access {
		return nil
	}
	s.resign()
	cluster, err := s.Connect(access.Kubeconfig)
	if err != nil {
		return err
	}
	s.cluster = opening{cluster, s.Secrets}
	s.access = access
	s.rec.update(func(st *Status, _ time.Time) { st.Kubeconfig = access.Kubeconfig })
	return nil
}

// checkContent makes sure that every byte is there before anything changes.
func (s *session) checkContent(needs []string, d render.Desired) error {
	want := locked(d.Cluster.Images)
	for _, ref := range needs {
		digest := d.Node.Content[ref]
		if digest == "" {
			return &unlocked{ref}
		}
		want[ref] = digest
	}
	return s.read(want)
}

// checkAhead reads all content of a host that waits for its registration: what is not whole is
// said in time, and what is need not be read then.
func (s *session) checkAhead() error {
	entries, err := s.Content.List()
	if err != nil {
		return err
	}
	all := map[string]string{}
	for _, e := range entries {
		all[e.Ref] = e.Digest
	}
	return s.read(all)
}

// read makes sure of content, reference → digest, that was not read before.
func (s *session) read(want map[string]string) error {
	var unchecked []string
	for _, digest := range want {
		if !s.checked[digest] {
			unchecked = append(unchecked, digest)
		}
	}
	if s.Content.Verify(unchecked...) != nil { // whose that is takes another look
		for _, ref := range slices.Sorted(maps.Keys(want)) {
			if err := s.Content.Verify(want[ref]); err != nil {
				return &lackingContent{ref, err}
			}
		}
	}
	for _, digest := range unchecked {
		s.checked[digest] = true
	}
	return nil
}

// lackingContent is content that is not on the host, or not whole.
type lackingContent struct {
	ref string
	err error
}

func (l *lackingContent) Error() string { return fmt.Sprintf("content %s: %v", l.ref, l.err) }
func (l *lackingContent) Unwrap() error { return l.err }

func (l *lackingContent) Hint() string {
	return "bring it to the host: holdfast content add --archive FILE, which is a tar file of images or the folder of another content store"
}

type unlocked struct{ ref string }

func (u *unlocked) Error() string { return u.ref + " is not in the profile's content.lock" }

func (u *unlocked) Hint() string { return "run holdfast lock and commit the result" }

func locked(images map[string]string) map[string]string {
	out := map[string]string{}
	for ref, digest := range images {
		if digest != "" {
			out[ref] = digest
		}
	}
	return out
}
