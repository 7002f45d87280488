package selfupdate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"
)

// Source opens the bytes of a program by its digest.
type Source func(digest string) (io.ReadCloser, error)

// Agent is the program that runs now.
type Agent struct {
	slots     Slots
	self      string // path of the program that runs
	installed string // path of the installed one
	source    Source
	clock     func() time.Time

	mu     sync.Mutex
	digest string // of self; empty: not known yet
	trial  *trial // of self, unless it is proven or none
	why    string // what kept the trial from loading a revision
}

// Status is what people want to know of the agent's program.
type Status struct {
	Slot  string    `json:"slot,omitempty"`  // a or b; empty: the installed program
	Trial bool      `json:"trial,omitempty"` // it has not loaded a revision yet
	Bad   []Verdict `json:"bad,omitempty"`   // programs that are not tried again
}

// Running returns the program at self, which runs now.
func (s Slots) Running(self, installed string, source Source) (*Agent, error) {
	a := &Agent{slots: s, self: self, installed: installed, source: source, clock: time.Now}
	st, err := s.load()
	if err != nil {
		return a, fmt.Errorf("which agent is on trial is not readable: %w", err)
	}
	if st.Trial != nil && s.path(st.Trial.Slot) == self {
		a.trial = st.Trial
	}
	return a, nil
}

// Status reads what is known of programs.
func (a *Agent) Status() (Status, error) {
	st, err := a.slots.load()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := Status{Trial: a.trial != nil, Bad: st.Bad}
	for _, name := range []string{"a", "b"} {
		if a.slots.path(name) == a.self {
			now.Slot = name
		}
	}
	return now, err
}

// Want compares the program that a revision names with the one that runs. It
// returns [ErrRestart] when another is ready to be tried, and another error if one
// is wanted and cannot be had, or is known to be bad; the agent then goes on as it is.
func (a *Agent) Want(p Program, revision string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.digest == "" {
		var err error
		if a.digest, err = digestOf("/proc/self/exe"); err != nil {
			return err
		}
	}
	if p.Digest == a.digest {
		return nil
	}
	st, err := a.slots.load()
	if err != nil {
		return err
	}
	if a.trial != nil { // another commit, before this program could prove itself
		st.Trial = nil
		return restart(a.slots.save(st))
	}
	if v := st.verdict(p.Digest); v != nil && (!v.Excused || v.Revision == revision) {
		return &BadError{*v}
	}
	if err := a.place(p.Digest, a.slots.path(st.free())); err != nil {
		return &MissingError{p, err}
	}
	st.Trial = &trial{slot: slot{p, st.free()}, Revision: revision}
	return restart(a.slots.save(st))
}

// restart is the answer to a change of the state that was written.
func restart(err error) error {
	if err != nil {
		return err
	}
	return ErrRestart
}

// Loaded is told of each revision that was loaded, or why it could not be, and
// says whether that was a trial. A revision that loads proves the program; one that
// does not excuses another that failed with it.
func (a *Agent) Loaded(revision string, cause error) (trial bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.trial == nil && cause == nil:
		return false, nil
	case a.trial == nil:
		return false, a.excuse(revision)
	case cause != nil:
		a.why = cause.Error()
		return true, nil
	}
	st, err := a.slots.load()
	if err != nil {
		return true, err
	}
	st.Current, st.Trial = &a.trial.slot, nil
	if err := a.slots.save(st); err != nil {
		return true, err
	}
	a.trial = nil
	return true, nil
}

func (a *Agent) excuse(revision string) error {
	st, err := a.slots.load()
	if err != nil {
		return err
	}
	changed := false
	for i := range st.Bad {
		if st.Bad[i].Revision == revision && !st.Bad[i].Excused {
			st.Bad[i].Excused, changed = true, true
		}
	}
	if !changed {
		return nil
	}
	return a.slots.save(st)
}

// Try ends when ctx does or, with [ErrRestart], when the time of a trial is over.
func (a *Agent) Try(ctx context.Context, limit time.Duration) error {
	a.mu.Lock()
	onTrial := a.trial != nil
	a.mu.Unlock()
	if !onTrial {
		return nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trial == nil {
		return nil
	}
	st, err := a.slots.load()
	if err != nil {
		return err
	}
	why := fmt.Sprintf("it loaded no revision within %s", limit)
	if a.why != "" {
		why += ": " + a.why
	}
	if st.Trial == nil {
		return ErrRestart
	}
	return restart(a.slots.save(st.condemn(why, a.clock())))
}

// Forget drops all verdicts, so that programs are tried again.
func (a *Agent) Forget() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := a.slots.load()
	if err != nil || len(st.Bad) == 0 {
		return err
	}
	st.Bad = nil
	return a.slots.save(st)
}

// place makes path the program with the digest: it may be there from before, or be
// the installed one.
func (a *Agent) place(digest, path string) error {
	if err := errors.Join(a.slots.Disk.MkdirAll(a.slots.Dir), a.slots.Disk.SyncDir(filepath.Dir(a.slots.Dir))); err != nil {
		return err
	}
	if check(path, digest) == nil {
		return nil
	}
	r, err := a.source(digest)
	if err != nil {
		if check(a.installed, digest) != nil {
			return err
		}
		r, err = openFile(a.installed)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	return a.write(r, digest, path)
}

// write makes path whole, or leaves it as it is.
func (a *Agent) write(r io.Reader, digest, path string) (err error) {
	disk := a.slots.Disk
	f, err := disk.Create(path + ".new")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			err = errors.Join(err, disk.RemoveAll(path+".new"))
		}
	}()
	sum := sha256.New()
	if _, err := io.Copy(f, io.TeeReader(r, sum)); err != nil {
		return err
	}
	if have := "sha256:" + hex.EncodeToString(sum.Sum(nil)); have != digest {
		return fmt.Errorf("its bytes are %s", have)
	}
	if err := f.Chmod(0o700); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil { // a file that is open for writing cannot be run
		return err
	}
	if err := disk.Rename(path+".new", path); err != nil {
		return err
	}
	return disk.SyncDir(a.slots.Dir)
}
