// Package gitsource turns Git remotes and bundles into verified revisions.
//
// Nothing leaves this package unverified: a [Revision] exists only after its
// signature, its signer's authority and its descent from the floor were checked.
// A revision is chosen in four steps:
//
//  1. [Repository.Fetch] brings what remotes and bundles offer into the mirror,
//     if it is whole and descends from the floor. The tip of each source is a
//     candidate.
//  2. With no floor yet, a candidate whose tip a key of the anchor signed becomes
//     the floor; in releases mode, the newest commit that such a key released.
//  3. Otherwise each commit on the first-parent line from the floor to the tip is
//     judged by the keys and the policy in the trust folder of its parent, up to
//     the first that is refused. In releases mode only the commits that a tag
//     releases are, each by the one released before it.
//  4. The last good one becomes the floor, on disk, before [Repository.Verify]
//     returns it. The floor never falls.
package gitsource

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/trust"
)

// Why a candidate is refused, beside the reasons of package trust.
var (
	ErrOlder     = errors.New("older than the floor")
	ErrRewritten = errors.New("does not descend from the floor on the first-parent line")
)

// ErrInUse reports a state folder that another process works in.
var ErrInUse = errors.New("another process has it open")

// Refused says that what a source offers is not acted upon.
type Refused struct {
	Source string // URL without credentials, or path of the bundle
	Commit string // hex; empty if the source could not be read that far
	Reason error

	lag bool // it may only be that the source is behind; never so for a bundle
}

func (r *Refused) Error() string {
	if len(r.Commit) < 12 {
		return fmt.Sprintf("refused %s: %v", r.Source, r.Reason)
	}
	return fmt.Sprintf("refused %s: commit %s: %v", r.Source, r.Commit[:12], r.Reason)
}

func (r *Refused) Unwrap() error { return r.Reason }

// Options configure a [Repository].
type Options struct {
	Dir        string         // state: required, made if missing
	Second     string         // folder of the second copy of the floor; default Dir
	Disk       durable.Disk   // what the state is written through
	Sources    []Source       // in order; all are asked
	Branch     string         // default main
	BundleDirs []string       // folders in which *.bundle files may appear; they need not exist
	Anchor     *trust.Keyring // vouches for the first commit: required
	Recovery   *trust.Keyring // may change the folder trust of any later one, whatever its policy says; may be nil
	Clock      Clock
	Log        *slog.Logger // nil discards
}

// Repository is what a host knows of its fleet: a mirror, and the floor outside of it.
type Repository struct {
	branch  string
	dir     string
	anchor  *trust.Keyring
	recover *trust.Keyring
	bundles []string
	clock   Clock
	log     *slog.Logger
	lock    *os.File
	disk    durable.Disk
	floors  floorFiles
	limits  limits
	grown   growth

	open sync.RWMutex // read-locked while a source is polled

	changing sync.Mutex // held while the sources change

	mu         sync.Mutex // guards what follows
	pollers    []*poller
	follows    *following // nil: nobody does
	mirror     *store
	floor      *floor
	floorErr   error // the state file cannot be read
	candidates map[string]*candidate
	files      map[string]*bundleFile // by path
	taken      map[string]bool        // bundles that are in no folder, by path
	olderSeen  map[string]bool        // digests of bundles reported as older
	checked    plumbing.Hash          // tree that was read completely since the start
	trusts     map[plumbing.Hash]*trustFolder
	beat       heartbeat
	alarms     map[string]bool // that were logged and last
	parted     []byte          // what partedFile holds; nil: it is not there
	tags       *tagIndex       // of all candidates; nil if one of them has changed
}

// candidate is the tip of a source.
type candidate struct {
	source string
	tip    plumbing.Hash
	refuse *Refused                 // why it is refused, once known
	tags   map[string]plumbing.Hash // by name without refs/tags/
	file   bool                     // a bundle in a folder
	part   bool                     // more of the same source builds on it
	by     *tagIndex                // with which it was judged; nil if it was not
	at     string                   // the floor then
	steps  []floor                  // from there on, that are vouched for, oldest first
	alarm  *Refused                 // that another one parts from them
	wait   int                      // commits after the steps, of which no tag releases one
	once   string                   // digest of a bundle whose refusal is reported only once, or empty
}

const (
	stagingPrefix = "staging-"
	floorFile     = "floor"
	floorCopy     = "floor.second"
	floorRef      = "refs/holdfast/floor"
	mirrorFolder  = "mirror"
)

// Open opens the state in a folder that no other process has open, clears what
// an interrupted fetch left, and checks that the mirror still holds the floor,
// byte by byte. A mirror that does not is emptied: the next fetch fills it again.
func Open(o Options) (*Repository, error) {
	if o.Anchor == nil || o.Anchor.Len() == 0 {
		return nil, errors.New("open repository: the trust anchor holds no key")
	}
	r := &Repository{
		branch: o.Branch, dir: o.Dir, anchor: o.Anchor, recover: o.Recovery, bundles: o.BundleDirs, log: o.Log, limits: defaultLimits(), grown: growth{packs: 256, bytes: 64 << 20},
		candidates: make(map[string]*candidate), files: make(map[string]*bundleFile), taken: make(map[string]bool),
		olderSeen: make(map[string]bool), trusts: make(map[plumbing.Hash]*trustFolder),
		disk: o.Disk, floors: o.floorFiles(), clock: o.Clock,
	}
	if r.branch == "" {
		r.branch = "main"
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.floors.log = r.log
	var err error
	if r.pollers, err = r.newPollers(o.Sources); err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	if len(r.bundles) > 0 {
		r.pollers = append(r.pollers, &poller{fetch: r.fetchBundles, increments: true})
	}
	if err := r.openState(); err != nil {
		if r.lock != nil {
			r.lock.Close()
		}
		return nil, fmt.Errorf("open repository %s: %w", o.Dir, err)
	}
	return r, nil
}

func (o Options) floorFiles() floorFiles {
	second := filepath.Join(cmp.Or(o.Second, o.Dir), floorCopy)
	return floorFiles{disk: o.Disk, paths: [2]string{filepath.Join(o.Dir, floorFile), second}, log: o.Log}
}

func lockState(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, ErrInUse
	}
	return lock, nil
}

// unlockState unlocks, not only closes: a child that was forked and has not
// reached its exec still holds the descriptor.
func unlockState(lock *os.File) error {
	return errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close())
}

func (r *Repository) openState() (err error) {
	if err := r.disk.MkdirAll(r.dir); err != nil {
		return err
	}
	if err := r.disk.SyncDir(filepath.Dir(r.dir)); err != nil {
		return err
	}
	if r.lock, err = lockState(r.dir); err != nil {
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	r.floor, r.floorErr = r.floors.read()
	if r.floor == nil && r.floorErr == nil && r.knewFloor() {
		r.floorErr = &hinted{errFloorLost, resetTip}
	}
	if r.floor != nil && r.floor.Reset != nil {
		r.log.Warn("floor was reset by hand", "to", r.floor.Commit, "from", r.floor.Reset.From, "at", r.floor.Reset.At)
	}
	if r.mirror, err = openStore(r.disk, filepath.Join(r.dir, mirrorFolder)); err != nil {
		return err
	}
	if err := r.restoreParted(); err != nil || r.floor == nil || r.floor.pending() {
		return err
	}
	if err := r.checkTree(r.floor.hash(), r.floor.tree()); isDamage(err) {
		return r.resetMirror(err)
	}
	return nil
}

// clear removes what an interrupted fetch or writing left.
func (r *Repository) clear() error {
	for _, pattern := range []string{stagingPrefix + "*", "." + floorFile + "*.tmp-*"} {
		leftovers, err := filepath.Glob(filepath.Join(r.dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range leftovers {
			if err := r.disk.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// knewFloor tells whether the mirror says that there once was a floor.
func (r *Repository) knewFloor() bool {
	_, err := os.Lstat(filepath.Join(r.dir, mirrorFolder, filepath.FromSlash(floorRef)))
	return err == nil
}

// Close releases the state. Revisions cannot be read afterwards.
func (r *Repository) Close() error {
	r.open.Lock()
	defer r.open.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lock == nil { // it was only looked at
		return r.mirror.close()
	}
	return errors.Join(r.mirror.close(), unlockState(r.lock))
}

// Floor returns the newest accepted revision, from disk alone. The bool is false
// if nothing was accepted yet; it is true beside an error if there is a floor
// that the mirror does not hold, or that cannot be known.
func (r *Repository) Floor() (Revision, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.floorErr != nil:
		return Revision{}, true, r.floorErr
	case r.floor == nil:
		return Revision{}, false, nil
	case r.floor.pending() || !r.mirror.has(r.floor.hash()):
		return Revision{}, true, fmt.Errorf("floor %s is not in the mirror: it comes back with the next fetch", r.floor.Commit[:12])
	}
	return r.floor.revision(r.mirror), true, nil
}

// resetMirror empties a damaged mirror, and fills it again from its copy if that
// is whole. The floor is outside and stays.
func (r *Repository) resetMirror(cause error) error {
	r.log.Warn("mirror damaged, emptied", "cause", cause)
	r.mirror.close()
	filled := false
	for _, try := range []func() (bool, error){r.refill, func() (bool, error) { return true, nil }} {
		path := filepath.Join(r.dir, mirrorFolder)
		if err := r.disk.RemoveAll(path); err != nil {
			return fmt.Errorf("empty damaged mirror: %w", err)
		}
		mirror, err := openStore(r.disk, path)
		if err != nil {
			return err
		}
		r.forget(mirror)
		if filled, err = try(); filled || err != nil {
			return err
		}
		mirror.close()
	}
	return nil
}
