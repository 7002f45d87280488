package reconciler

import (
	"regexp"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
)

// The trailers that give orders. They count in the last paragraph of a commit's
// message, as git interpret-trailers(1) reads them.
const (
	trailerPrune     = "allow-prune"
	trailerRecreate  = "allow-recreate"
	trailerDowngrade = "allow-downgrade"
	trailerUrgent    = "urgent"
)

// intents are what commits allow. They are kept with the confirmed revision, so
// that a prune that was cut off can be finished without a source.
type intents = fleet.Permits

var revertsLine = regexp.MustCompile(`(?m)^This reverts commit ([0-9a-f]{40})\b`)

// Intents reads what commits allow by their messages, the newest first. What it
// cannot read allows nothing.
func Intents(said []gitsource.Message) fleet.Permits {
	var all intents
	for key, value := range standing(said) {
		switch key {
		case trailerPrune:
			all.Prune = append(all.Prune, permits(value)...)
		case trailerRecreate:
			all.Recreate = append(all.Recreate, permits(value)...)
		case trailerDowngrade:
			all.Downgrade = append(all.Downgrade, value)
		}
	}
	return all
}

// standing yields the trailers of messages, the newest first. What a commit said is
// void once it was reverted, and counts again once the revert was.
func standing(said []gitsource.Message) func(yield func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		void := map[string]bool{}
		for _, m := range said {
			if void[m.Commit] {
				continue
			}
			for _, reverted := range revertsLine.FindAllStringSubmatch(m.Text, -1) {
				void[reverted[1]] = true
			}
			for key, value := range trailers(m.Text) {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// permits reads one, or several with commas between.
func permits(value string) []fleet.Permit {
	var list []fleet.Permit
	for one := range strings.SplitSeq(value, ",") {
		if permit, err := fleet.ParsePermit(one); err == nil {
			list = append(list, permit)
		}
	}
	return list
}

// trailers yields "key: value" lines of the last paragraph, keys in lower case.
// The subject is none.
func trailers(message string) func(yield func(key, value string) bool) {
	message = strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n"))
	at := strings.LastIndex(message, "\n\n")
	return func(yield func(key, value string) bool) {
		if at < 0 {
			return
		}
		for line := range strings.Lines(message[at+2:]) {
			key, value, found := strings.Cut(line, ":")
			if found && !yield(strings.ToLower(key), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

// allows tells whether a permit names the object.
func allows(list []fleet.Permit, o Object) bool {
	return slices.ContainsFunc(list, func(p fleet.Permit) bool { return p.Names(o.Group, o.Kind, o.Namespace, o.Name) })
}

// allowsLayer tells whether a permit names the layer.
func allowsLayer(list []fleet.Permit, layer string) bool {
	return slices.ContainsFunc(list, func(p fleet.Permit) bool { return p.Layer != "" && p.Layer == layer })
}

// intend finds what commits allow for t: those after the one that the cluster was
// last brought to and pruned for, so that what was cut off is still allowed.
func (s *session) intend(rev gitsource.Revision, t target, settled string) intents {
	if rev.Commit() != t.Commit.Revision { // it is the confirmed one, for which that was found out
		return t.Intents
	}
	if s.confirmed != nil && s.confirmed.Commit.Revision == rev.Commit() {
		return s.confirmed.Intents
	}
	if settled == "" {
		return intents{}
	}
	said, err := rev.Since(settled)
	if err != nil {
		s.Log.Warn("what commits allow is not known: nothing more is", "revision", rev.Short(), "since", settled, "error", err)
		return intents{}
	}
	return Intents(said)
}

// downgrades are the versions of Kubernetes that hosts may go back to, as commits since
// the confirmed one say. That they did so once is no leave for the next time.
func (s *session) downgrades(rev gitsource.Revision) []string {
	if s.confirmed == nil || s.confirmed.Commit.Revision == rev.Commit() {
		return nil
	}
	said, err := rev.Since(s.confirmed.Commit.Revision)
	if err != nil {
		s.Log.Warn("what commits allow is not known: no downgrade is", "revision", rev.Short(), "error", err)
		return nil
	}
	return Intents(said).Downgrade
}
