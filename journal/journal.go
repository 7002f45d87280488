// Package journal keeps the steps that an agent takes, each with its begin and
// its end, so that after a power cut it is known which were under way.
//
// A step is on disk before it is taken. Each line has a checksum of its own: one
// that was torn or damaged is passed over. The file is bounded.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

const (
	maxFile = 256 << 10   // bytes, past which old steps are dropped
	kept    = maxFile / 2 // bytes that stay then; steps under way stay anyway
	maxText = 500         // bytes of an outcome
)

// Step is one thing that is done.
type Step struct {
	ID    uint64    `json:"id"`
	Verb  string    `json:"verb"`           // change, apply, put back, confirm, prune, recreate
	What  string    `json:"what"`           // a revision, a layer
	Note  string    `json:"note,omitempty"` // a digest, a number
	Begun time.Time `json:"begun"`

	Ended   time.Time `json:"ended,omitzero"`
	Outcome string    `json:"outcome,omitempty"` // done, or why not; of those that ended
}

// Journal is one file of steps. It is safe for concurrent use.
type Journal struct {
	disk durable.Disk
	path string

	mu    sync.Mutex
	file  *durable.File // nil: to be opened
	size  int64
	last  uint64
	steps []Step // the newest last
	wrote uint64 // lines

	syncing sync.Mutex
	synced  uint64 // lines
}

// Open reads the journal at path, which need not exist.
func Open(disk durable.Disk, path string) (*Journal, error) {
	j := &Journal{disk: disk, path: path}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return j, fmt.Errorf("read journal: %w", err)
	}
	whole := true
	for line := range bytes.Lines(data) {
		s, err := parse(line)
		if err != nil {
			whole = false
			continue
		}
		j.take(s)
	}
	j.size = int64(len(data))
	if !whole {
		return j, j.compact()
	}
	return j, nil
}

// take adds a line that was read or written.
func (j *Journal) take(s Step) {
	j.last = max(j.last, s.ID)
	if i := slices.IndexFunc(j.steps, func(o Step) bool { return o.ID == s.ID }); i >= 0 {
		j.steps[i] = s
		return
	}
	j.steps = append(j.steps, s)
}

// Begin writes that a step is about to be taken. It is on disk when Begin returns.
func (j *Journal) Begin(s Step) (Step, error) {
	j.mu.Lock()
	s.ID = j.last + 1
	n, err := j.write(s)
	file := j.file
	j.mu.Unlock()
	if err == nil {
		err = j.sync(file, n)
	}
	if err != nil {
		return s, fmt.Errorf("write journal: %w", err)
	}
	return s, nil
}

// End writes how a step ended. A power cut may lose that, as if it had come a
// moment earlier.
func (j *Journal) End(s Step, at time.Time, outcome string) error {
	if s.ID == 0 {
		return nil
	}
	s.Ended, s.Outcome = at, cut(outcome)
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.write(s); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// Open lists the steps that began and did not end.
func (j *Journal) Open() []Step {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.steps), func(s Step) bool { return !s.Ended.IsZero() })
}

// Steps lists all that are known, the oldest first.
func (j *Journal) Steps() []Step {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.steps)
}

// Close releases the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := errors.Join(j.file.Sync(), j.file.Close())
	j.file = nil
	return err
}

// write appends a line; j.mu is held. It returns the number of the line.
func (j *Journal) write(s Step) (uint64, error) {
	line, err := format(s)
	if err != nil {
		return 0, err
	}
	if j.size+int64(len(line)) > maxFile {
		if err := j.compact(); err != nil {
			return 0, err
		}
	}
	if j.file == nil {
		if j.file, err = j.disk.Append(j.path); err != nil {
			return 0, err
		}
	}
	n, err := j.file.Write(line)
	j.size += int64(n)
	if err != nil {
		return 0, errors.Join(err, j.mend(n))
	}
	j.wrote++
	j.take(s)
	return j.wrote, nil
}

// mend takes the torn line off that a full disk has left.
func (j *Journal) mend(torn int) error {
	if torn == 0 {
		return nil
	}
	j.size -= int64(torn)
	return j.file.Truncate(j.size)
}

// sync puts the lines up to n on disk. Those who wait at the same time share one sync.
func (j *Journal) sync(file *durable.File, n uint64) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced >= n {
		return nil
	}
	j.mu.Lock()
	wrote := j.wrote
	j.mu.Unlock()
	err := file.Sync()
	if errors.Is(err, fs.ErrClosed) { // another took its place, which was synced whole
		return nil
	}
	if err != nil {
		return err
	}
	j.synced = wrote
	return nil
}

// compact writes the file anew, without the oldest steps that ended.
func (j *Journal) compact() error {
	var stay []Step
	var lines [][]byte
	size := 0
	for _, s := range slices.Backward(j.steps) {
		line, err := format(s)
		if err != nil {
			return err
		}
		if s.Ended.IsZero() || size+len(line) <= kept {
			stay, lines, size = append(stay, s), append(lines, line), size+len(line)
		}
	}
	slices.Reverse(stay)
	slices.Reverse(lines)
	if err := j.disk.WriteFile(j.path, bytes.Join(lines, nil), 0o600); err != nil {
		return err
	}
	j.steps = stay
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
	j.size = int64(size)
	return nil
}

var table = crc32.MakeTable(crc32.Castagnoli)

func format(s Step) ([]byte, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, table), body), nil
}

var errDamaged = errors.New("line of the journal is damaged")

// parse is the opposite of format.
func parse(line []byte) (Step, error) {
	sum, body, found := bytes.Cut(line, []byte(" "))
	body, ended := bytes.CutSuffix(body, []byte("\n"))
	if !found || !ended || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(body, table)) {
		return Step{}, errDamaged
	}
	var s Step
	if err := json.Unmarshal(body, &s); err != nil || s.ID == 0 {
		return Step{}, errDamaged
	}
	return s, nil
}

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText] + "…"
}
