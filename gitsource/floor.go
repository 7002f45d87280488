package gitsource

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/trust"
)

// floor is the newest revision that this host accepted, as kept in the file
// "floor": one line of JSON, one line "sha256:<hex>" over the first.
type floor struct {
	Commit string       `json:"commit"`
	Tree   string       `json:"tree"`
	Time   time.Time    `json:"time"`  // committer's
	Bound  time.Time    `json:"bound"` // latest time of a commit on the verified line: no later one is judged earlier
	Signer trust.Signer `json:"signer"`
}

// errFloorDamaged keeps a damaged file from being taken for a first contact.
var errFloorDamaged = errors.New("state file is damaged; a host that cannot know its floor accepts nothing")

const maxFloorFile = 64 << 10

// readFloor returns nil if there is no floor yet.
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
	body, sum, _ := bytes.Cut(data, []byte("\n"))
	if string(sum) != checksum(body) {
		return nil, fmt.Errorf("read floor %s: %w", path, errFloorDamaged)
	}
	f := new(floor)
	if err := json.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("read floor %s: %w: %w", path, errFloorDamaged, err)
	}
	for _, name := range []string{f.Commit, f.Tree} {
		if _, err := parseHash(name); err != nil {
			return nil, fmt.Errorf("read floor %s: %w: %w", path, errFloorDamaged, err)
		}
	}
	return f, nil
}

// write makes f durable.
func (f *floor) write(path string) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write floor: %w", err)
	}
	data := append(append(body, '\n'), checksum(body)...)
	if err := durable.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write floor: %w", err)
	}
	return nil
}

func checksum(body []byte) string { return fmt.Sprintf("sha256:%x\n", sha256.Sum256(body)) }

func (f *floor) hash() plumbing.Hash { return plumbing.NewHash(f.Commit) }

func (f *floor) tree() plumbing.Hash { return plumbing.NewHash(f.Tree) }

func (f *floor) revision(s *store) Revision {
	return Revision{commit: f.Commit, signer: f.Signer, time: f.Time, fs: &treeFS{store: s, root: f.tree(), time: f.Time}}
}
