package gitsource

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/trust"
)

// floor is the newest revision that this host accepted. It is kept in two files,
// each one line of JSON and one line "sha256:<hex>" over the first.
type floor struct {
	Serial uint64       `json:"serial"` // of the writing: the higher of two copies counts
	Commit string       `json:"commit"`
	Tree   string       `json:"tree"`  // empty after a reset, until the commit was seen
	Time   time.Time    `json:"time"`  // committer's
	Bound  time.Time    `json:"bound"` // latest time of a commit on the verified line, at most a day ahead of a clock that is right: no later one is judged earlier
	Signer trust.Signer `json:"signer"`
	Reset  *Override    `json:"reset,omitempty"`
}

// Override says that a person on the host chose the floor; it is void as soon as
// a newer revision is accepted.
type Override struct {
	From string    `json:"from,omitempty"` // commit that was the floor, in hex; empty if it was not known
	At   time.Time `json:"at"`
}

const resetTip = "if you know which commit this host should be at, stop the agent and run: holdfast trust reset --to COMMIT"

// errFloorLost keeps a loss from being taken for a first contact.
var (
	errFloorLost    = errors.New("both copies of the floor are lost, and without it nothing is accepted")
	errFloorDamaged = errors.New("copy of the floor is damaged")
)

const maxFloorFile = 64 << 10

// floorFiles are the two copies of a floor, the one written first in front.
type floorFiles struct {
	disk  durable.Disk
	paths [2]string
	log   *slog.Logger
}

// read returns nil if there is no floor yet. A copy that is lost, damaged or
// older than the other is written again.
func (f floorFiles) read() (*floor, error) {
	newest, copies, err := f.look()
	if err != nil {
		return nil, err
	}
	for i, path := range f.paths {
		if newest == nil || copies[i] != nil && copies[i].Serial == newest.Serial {
			continue
		}
		f.log.Warn("copy of the floor written again from the other one", "file", path)
		if err := newest.write(f.disk, path); err != nil {
			return nil, err
		}
	}
	return newest, nil
}

// look reads both copies, and changes nothing.
func (f floorFiles) look() (newest *floor, copies [2]*floor, err error) {
	var damage error
	for i, path := range f.paths {
		one, err := readFloor(path)
		if err != nil && !errors.Is(err, errFloorDamaged) {
			return nil, copies, err
		}
		damage = errors.Join(damage, err)
		if copies[i] = one; one != nil && (newest == nil || one.Serial > newest.Serial) {
			newest = one
		}
	}
	if newest == nil && damage != nil {
		return nil, copies, &hinted{fmt.Errorf("%w: %w", errFloorLost, damage), resetTip}
	}
	return newest, copies, nil
}

// write makes fl durable, twice.
func (f floorFiles) write(fl *floor) error {
	for _, path := range f.paths {
		if err := fl.write(f.disk, path); err != nil {
			return err
		}
	}
	return nil
}

// readFloor reads one copy; nil if it is not there.
func readFloor(path string) (*floor, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read floor: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFloorFile))
	if err != nil {
		return nil, fmt.Errorf("read floor: %w", err)
	}
	f, err := parseFloor(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func parseFloor(data []byte) (*floor, error) {
	body, sum, _ := bytes.Cut(data, []byte("\n"))
	if string(sum) != checksum(body) {
		return nil, errFloorDamaged
	}
	f := new(floor)
	if err := json.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("%w: %w", errFloorDamaged, err)
	}
	names := []string{f.Commit}
	if f.Tree != "" || f.Reset == nil {
		names = append(names, f.Tree)
	}
	for _, name := range names {
		if _, err := parseHash(name); err != nil {
			return nil, fmt.Errorf("%w: %w", errFloorDamaged, err)
		}
	}
	return f, nil
}

func (f *floor) write(disk durable.Disk, path string) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write floor: %w", err)
	}
	data := append(append(body, '\n'), checksum(body)...)
	if err := disk.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write floor: %w", err)
	}
	return nil
}

func checksum(body []byte) string { return fmt.Sprintf("sha256:%x\n", sha256.Sum256(body)) }

func (f *floor) hash() plumbing.Hash { return plumbing.NewHash(f.Commit) }

func (f *floor) tree() plumbing.Hash { return plumbing.NewHash(f.Tree) }

// pending tells that a person named the floor, and its commit was not seen yet.
func (f *floor) pending() bool { return f.Tree == "" }

func (f *floor) revision(s *store) Revision {
	return Revision{
		commit: f.Commit, signer: f.Signer, time: f.Time, override: f.Reset,
		fs: &treeFS{store: s, root: f.tree(), time: f.Time},
	}
}
