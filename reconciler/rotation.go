package reconciler

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
)

const sourcesFile = "sources.json"

// declaration is what one revision says of sources, opened.
type declaration struct {
	commit  string // empty: none
	sources []gitsource.Source
}

// rotation decides which sources are asked, so that neither a new list of them
// nor a new credential can cut a host off: what it was installed with, what the
// last proven revision declares, and what the newest one does.
type rotation struct {
	Source
	staged []gitsource.Source
	opener opener
	dir    string
	disk   durable.Disk
	log    *slog.Logger

	mu       sync.Mutex
	kept     string // commit of the proven declaration, as on disk
	restored bool   // it was opened, or cannot be
	proven   declaration
	newest   declaration
	problem  error // why what was declared last is not in use
}

// provenRevision is what is kept on disk: no list, and no secret.
type provenRevision struct {
	Proven string `json:"proven"`
}

// inUse lists the sources to ask: staged ones, but for those that a proven one of
// the same URL replaces, then the proven ones, then the newest.
func inUse(staged, proven, newest []gitsource.Source) []gitsource.Source {
	var list []gitsource.Source
	for _, s := range staged {
		if !slices.ContainsFunc(proven, func(p gitsource.Source) bool { return p.URL == s.URL }) {
			list = append(list, s)
		}
	}
	for _, s := range slices.Concat(proven, newest) {
		if !listed(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// isProven tells whether all of the newest sources that the proven ones lack
// answer, and at least one of them all does.
func isProven(proven, newest []gitsource.Source, answers func(gitsource.Source) bool) bool {
	for _, s := range newest {
		if !listed(proven, s) && !answers(s) {
			return false
		}
	}
	return len(newest) == 0 || slices.ContainsFunc(newest, answers)
}

// listed tells whether a list has a declared source: its note stands for all else.
func listed(list []gitsource.Source, s gitsource.Source) bool {
	return slices.ContainsFunc(list, func(o gitsource.Source) bool { return o.URL == s.URL && o.Note == s.Note })
}

// openRotation reads which revision's sources are proven.
func openRotation(r *Reconciler, log *slog.Logger) (*rotation, error) {
	var kept provenRevision
	_, err := durable.ReadJSON(filepath.Join(r.Dir, sourcesFile), &kept)
	return &rotation{
		Source: r.Source, staged: r.Staged, opener: opener{r.Login, r.Secrets}, dir: r.Dir, disk: r.Disk, log: log,
		kept: kept.Proven, restored: kept.Proven == "",
	}, err
}

// restore opens the proven sources after a start; site finds what a revision says
// of the host. It is tried again until the mirror has the revision.
func (r *rotation) restore(site func(gitsource.Revision) (*fleet.Host, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.restored {
		return nil
	}
	rev, err := r.Accepted(r.kept)
	if err != nil {
		return fmt.Errorf("find the proven sources of revision %.12s: %w", r.kept, err)
	}
	r.restored = true
	host, err := site(rev)
	if err != nil {
		return fmt.Errorf("load the proven sources of revision %.12s: %w", r.kept, err)
	}
	sources, err := r.opener.open(rev.FS(), host.Site.Sources)
	if err != nil {
		return fmt.Errorf("open the proven sources of revision %.12s: %w", r.kept, err)
	}
	r.proven = declaration{r.kept, sources}
	return r.apply()
}

// declare takes what a newly accepted revision says. What cannot be opened
// changes nothing.
func (r *rotation) declare(rev gitsource.Revision, declared []fleet.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newest.commit == rev.Commit() {
		return
	}
	sources, err := r.opener.open(rev.FS(), declared)
	if err == nil {
		before := r.newest
		r.newest = declaration{rev.Commit(), sources}
		if err = r.apply(); err != nil {
			r.newest = before
		}
	}
	if r.problem = err; err != nil {
		r.problem = fmt.Errorf("sources of revision %s are not used, those before them stay: %w", rev.Short(), err)
	}
}

// look finds out whether the newest sources are proven, which then are kept and
// replace what was before. It adds to the problems of sources that new ones are not.
func (r *rotation) look(problems error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	problems = errors.Join(problems, r.problem)
	if r.newest.commit == "" || r.newest.commit == r.proven.commit {
		return problems
	}
	if !isProven(r.proven.sources, r.newest.sources, r.Answers) {
		if slices.ContainsFunc(r.newest.sources, func(s gitsource.Source) bool { return !listed(r.proven.sources, s) }) {
			problems = errors.Join(problems, &waiting{r.newest.commit})
		}
		return problems
	}
	if len(r.newest.sources) == 0 && r.kept == "" {
		r.proven = r.newest
		return problems
	}
	if err := r.disk.WriteJSON(filepath.Join(r.dir, sourcesFile), provenRevision{r.newest.commit}); err != nil {
		return errors.Join(problems, fmt.Errorf("keep which sources are proven: %w", err))
	}
	r.log.Info("sources proven", "revision", r.newest.commit[:12], "sources", len(r.newest.sources))
	r.kept, r.restored, r.proven = r.newest.commit, true, r.newest
	return errors.Join(problems, r.apply())
}

func (r *rotation) apply() error {
	return r.SetSources(inUse(r.staged, r.proven.sources, r.newest.sources))
}

// waiting reports sources that are asked beside those before them.
type waiting struct{ commit string }

func (w *waiting) Error() string {
	return fmt.Sprintf("not all new sources of revision %.12s have answered and have it; those before them stay in use", w.commit)
}

// Hint says what keeps them from it.
func (w *waiting) Hint() string {
	return "if it stays so, mend the source or its credentials in a new commit: it comes by the old ones"
}
