package gitsource

import (
	"io/fs"
	"time"

	"github.com/holdfast-fleet/holdfast/trust"
)

// Revision is a commit that was verified. There is no way to make one but
// [Repository.Verify] and [Repository.Floor]; the zero Revision holds nothing.
type Revision struct {
	commit string
	signer trust.Signer
	time   time.Time
	fs     *treeFS

	override   *Override
	heartbeat  time.Time
	unreleased int
}

// IsZero tells whether the revision holds nothing.
func (r Revision) IsZero() bool { return r.fs == nil }

// Commit is the name of the commit, 40 hex digits.
func (r Revision) Commit() string { return r.commit }

// Short is the first 12 digits of the commit.
func (r Revision) Short() string {
	if len(r.commit) < 12 {
		return r.commit
	}
	return r.commit[:12]
}

// Signer vouched for the commit.
func (r Revision) Signer() trust.Signer { return r.signer }

// Time is the committer's, in UTC.
func (r Revision) Time() time.Time { return r.time }

// Override says that a person chose the revision, and when; nil if nobody did.
func (r Revision) Override() *Override { return r.override }

// Heartbeat is when, as signed, somebody whom the revision trusts last said that
// nothing newer is to be known; zero if nobody did.
func (r Revision) Heartbeat() time.Time { return r.heartbeat }

// Unreleased is how many commits after it wait for a tag that releases one of them.
func (r Revision) Unreleased() int { return r.unreleased }

// FS is the commit's tree. Every byte read is compared with the name that the
// commit gives it. Symbolic links, submodules, files over 4 MiB and paths deeper
// than 64 folders are errors that name their path. It is safe for concurrent use
// until the repository is closed.
func (r Revision) FS() fs.FS {
	if r.fs == nil {
		return emptyFS{}
	}
	return r.fs
}

// emptyFS is the file system of the zero revision.
type emptyFS struct{}

func (emptyFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
