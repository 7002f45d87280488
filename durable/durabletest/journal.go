// Package durabletest notes what is written through a disk, to make of it what a
// power cut would leave.
package durabletest

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/holdfast-fleet/holdfast/durable"
)

// Journal notes the changes below one folder, in their order.
type Journal struct {
	root string

	mu      sync.Mutex
	changes []durable.Change
}

// NewJournal notes changes below root.
func NewJournal(root string) *Journal { return &Journal{root: root} }

// Disk is the one that the journal notes.
func (j *Journal) Disk() durable.Disk {
	return durable.Disk{Before: func(c durable.Change) error {
		c.Data = bytes.Clone(c.Data)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.changes = append(j.changes, c)
		return nil
	}}
}

// Len is the number of changes noted.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.changes)
}

// Change is the nth change, in words.
func (j *Journal) Change(n int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n < 0 || n >= len(j.changes) {
		return "the end"
	}
	c := j.changes[n]
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Op, filepath.Join(j.path(c.Path)...), filepath.Join(j.path(c.To)...)))
}

// Loss is what a power cut takes away, of what was not synced.
type Loss string

// The losses. What file systems do lies between them.
const (
	Names Loss = "names and content" // as if nothing had happened since the last sync of the folder, or of the file
	Data  Loss = "content"           // names are there, files are as long as they were at their last sync
	Half  Loss = "half of the last write"
)

// Cut writes to dir what the first n changes leave of base, a copy of root from
// before the first, if the power is cut then.
func (j *Journal) Cut(base, dir string, n int, loss Loss) error {
	root, err := load(base)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var last *node
	for _, c := range j.changes[:n] {
		last = nil
		if c.Op == durable.Write {
			last = root.find(j.path(c.Path))
			last.before = last.data
		}
		j.apply(root, c)
	}
	if loss == Half && last != nil {
		last.data = last.data[:(len(last.before)+len(last.data))/2]
	}
	return root.store(dir, loss)
}

func (j *Journal) path(path string) []string {
	rel, err := filepath.Rel(j.root, path)
	if err != nil || rel == "." || strings.HasPrefix(rel, "..") {
		return nil
	}
	return strings.Split(rel, string(filepath.Separator))
}

func (j *Journal) apply(root *node, c durable.Change) {
	path := j.path(c.Path)
	switch at := root.find(path); c.Op {
	case durable.Create:
		parent, name := root.parent(path)
		if at == nil {
			at = &node{}
			parent.names[name] = at
		}
		at.data = nil
	case durable.Write:
		at.data = append(bytes.Clone(at.data), c.Data...)
	case durable.Sync:
		at.safe = at.data
	case durable.SyncAll:
		if at != nil {
			at.safeNames = maps.Clone(at.names)
		}
	case durable.Mkdir:
		for i := range path {
			parent, name := root.parent(path[:i+1])
			if parent.names[name] == nil {
				parent.names[name] = newFolder()
			}
		}
	case durable.Rename:
		from, name := root.parent(path)
		delete(from.names, name)
		to, name := root.parent(j.path(c.To))
		to.names[name] = at
	case durable.Remove:
		if parent, name := root.parent(path); parent != nil {
			delete(parent.names, name)
		}
	}
}

// node is a file or a folder, as programs see it and as it is on disk.
type node struct {
	data, safe, before []byte
	names, safeNames   map[string]*node // nil for a file
}

func newFolder() *node { return &node{names: map[string]*node{}, safeNames: map[string]*node{}} }

func (n *node) find(path []string) *node {
	for _, name := range path {
		if n == nil || n.names == nil {
			return nil
		}
		n = n.names[name]
	}
	return n
}

func (n *node) parent(path []string) (folder *node, name string) {
	return n.find(path[:len(path)-1]), path[len(path)-1]
}

func load(path string) (*node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		data, err := os.ReadFile(path)
		return &node{data: data, safe: data}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	n := newFolder()
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink != 0 {
			continue
		}
		if n.names[e.Name()], err = load(filepath.Join(path, e.Name())); err != nil {
			return nil, err
		}
	}
	n.safeNames = maps.Clone(n.names)
	return n, nil
}

func (n *node) store(path string, loss Loss) error {
	if n.names == nil {
		data := n.data
		if loss != Half {
			data = n.safe
		}
		return os.WriteFile(path, data, 0o600)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	names := n.names
	if loss == Names {
		names = n.safeNames
	}
	for name, child := range names {
		if err := child.store(filepath.Join(path, name), loss); err != nil {
			return err
		}
	}
	return nil
}
