package gitsource

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
)

// Limits of what is read from a repository.
const (
	maxCommit = 1 << 20 // bytes of a commit or tag
	maxTree   = 8 << 20 // bytes of one tree
	maxName   = 255     // bytes of a name in a tree
	maxDepth  = 64      // folders above a file
)

// commit is a commit as its raw bytes say.
type commit struct {
	hash      plumbing.Hash
	tree      plumbing.Hash
	parents   []plumbing.Hash
	time      time.Time // committer's
	signature []byte    // armored; empty if there is none
	payload   []byte    // what is signed: the object without its signatures
}

// parseCommit reads the raw bytes of a commit: headers tree, parents, author and
// committer in this order, then others, of which gpgsig and gpgsig-sha256 are no
// part of what is signed (gitformat-signature(5)).
func parseCommit(hash plumbing.Hash, raw []byte) (*commit, error) {
	c := &commit{hash: hash, payload: make([]byte, 0, len(raw))}
	next := []string{"tree", "parent", "author", "committer", ""}
	rest := raw
	for {
		header, after, ok := cutHeader(rest)
		if !ok {
			return nil, errors.New("commit without an end of its headers")
		}
		if header == nil {
			break
		}
		key, value, _ := strings.Cut(string(header), " ")
		if strings.ContainsRune(string(header), 0) {
			return nil, fmt.Errorf("header %q of a commit holds a zero byte", key)
		}
		switch {
		case key == "gpgsig" && c.signature != nil:
			return nil, errors.New("commit with two signatures")
		case key == "gpgsig":
			c.signature = []byte(strings.ReplaceAll(value, "\n ", "\n"))
		case key == "gpgsig-sha256":
		default:
			if err := c.setHeader(key, value, &next); err != nil {
				return nil, err
			}
			c.payload = append(c.payload, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
	if len(next) > 1 {
		return nil, fmt.Errorf("commit without %s", next[0])
	}
	c.payload = bytes.Clone(append(c.payload, rest...)) // without the room that the signature had
	return c, nil
}

// cutHeader returns the first header with its continuation lines, without the
// last newline; nil at the empty line that ends the headers.
func cutHeader(raw []byte) (header, rest []byte, ok bool) {
	if len(raw) > 0 && raw[0] == '\n' {
		return nil, raw[1:], true
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\n' && (i+1 == len(raw) || raw[i+1] != ' ') {
			return raw[:i], raw[i+1:], true
		}
	}
	return nil, nil, false
}

// setHeader takes one header; next lists what may come, of which parent may come
// any number of times and the last stands for all that Git adds later.
func (c *commit) setHeader(key, value string, next *[]string) (err error) {
	if (*next)[0] == "parent" && key != "parent" {
		*next = (*next)[1:]
	}
	switch expected := (*next)[0]; {
	case expected == "":
		if key == "tree" || key == "parent" || key == "author" || key == "committer" {
			return fmt.Errorf("header %s of a commit out of order", key)
		}
		return nil
	case key != expected:
		return fmt.Errorf("commit has the header %q where %s belongs", key, expected)
	}
	switch key {
	case "tree":
		c.tree, err = parseHash(value)
	case "parent":
		var parent plumbing.Hash
		parent, err = parseHash(value)
		c.parents = append(c.parents, parent)
		return err
	case "committer":
		c.time, err = parseStamp(value)
	}
	*next = (*next)[1:]
	return err
}

func parseHash(s string) (plumbing.Hash, error) {
	var h plumbing.Hash
	if len(s) != 2*len(h) || strings.ToLower(s) != s {
		return h, fmt.Errorf("%q is not the name of an object", clip(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, fmt.Errorf("%q is not the name of an object", clip(s))
	}
	return h, nil
}

// parseStamp takes the time of "Name <mail> seconds zone".
func parseStamp(s string) (time.Time, error) {
	_, after, ok := cutLast(s, "> ")
	seconds, _, _ := strings.Cut(after, " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if !ok || err != nil || n < 0 || n > 1<<40 {
		return time.Time{}, errors.New("commit without a committer's time")
	}
	return time.Unix(n, 0).UTC(), nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// mode is what an entry of a tree is.
type mode uint8

const (
	modeFile mode = iota
	modeExecutable
	modeFolder
	modeSymlink
	modeSubmodule
)

type entry struct {
	name string
	mode mode
	hash plumbing.Hash
}

// compare orders the entries of a tree as Git does: a folder as if its name ended in a slash.
func (e entry) compare(o entry) int {
	n := min(len(e.name), len(o.name))
	if c := strings.Compare(e.name[:n], o.name[:n]); c != 0 {
		return c
	}
	return int(e.after(n)) - int(o.after(n))
}

func (e entry) after(n int) byte {
	switch {
	case n < len(e.name):
		return e.name[n]
	case e.mode == modeFolder:
		return '/'
	}
	return 0
}

// parseTree reads the raw bytes of a tree, and refuses names and orders that Git
// would not write: what two readers could understand differently.
func parseTree(raw []byte) ([]entry, error) {
	entries := make([]entry, 0, countEntries(raw))
	text := string(raw) // of which all names are parts
	for len(text) > 0 {
		space, zero := strings.IndexByte(text, ' '), strings.IndexByte(text, 0)
		if space < 0 || zero < space || len(text) < zero+21 {
			return nil, errors.New("truncated tree")
		}
		e := entry{name: text[space+1 : zero]}
		switch m := text[:space]; m {
		case "100644", "100664":
			e.mode = modeFile
		case "100755":
			e.mode = modeExecutable
		case "40000":
			e.mode = modeFolder
		case "120000":
			e.mode = modeSymlink
		case "160000":
			e.mode = modeSubmodule
		default:
			return nil, fmt.Errorf("tree with the mode %q", clip(m))
		}
		copy(e.hash[:], text[zero+1:])
		if err := checkName(e.name); err != nil {
			return nil, err
		}
		if n := len(entries); n > 0 && e.compare(entries[n-1]) <= 0 || twice(entries, e) {
			return nil, fmt.Errorf("tree with %q out of order or twice", clip(e.name))
		}
		entries = append(entries, e)
		text = text[zero+21:]
	}
	return entries, nil
}

// countEntries is how many entries a tree has, if its bytes are well formed.
func countEntries(raw []byte) (n int) {
	for len(raw) > 0 {
		zero := bytes.IndexByte(raw, 0)
		if zero < 0 || len(raw) < zero+21 {
			break
		}
		raw, n = raw[zero+21:], n+1
	}
	return n
}

// twice tells whether entries hold a file of the name of the folder e, which need
// not be right before it. A file of a folder's name would be out of order.
func twice(entries []entry, e entry) bool {
	if e.mode != modeFolder {
		return false
	}
	_, found := slices.BinarySearchFunc(entries, entry{name: e.name}, entry.compare)
	return found
}

func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || isDotGit(name) || hasOddByte(name):
		return fmt.Errorf("tree with the name %q", clip(name))
	case len(name) > maxName:
		return fmt.Errorf("tree with a name of %d bytes", len(name))
	}
	return nil
}

// isDotGit tells whether a name is .git to Git on any system: Windows leaves out
// spaces and dots at the end and what a colon begins, and has short names; macOS
// leaves out letters that cannot be seen.
func isDotGit(name string) bool {
	if c := name[0]; c != '.' && c != 'g' && c != 'G' && c < utf8.RuneSelf {
		return false // as nearly all are, and there are many
	}
	name, _, _ = strings.Cut(strings.Map(seen, name), ":")
	name = strings.ToLower(strings.TrimRight(name, " ."))
	return name == ".git" || name == "git~1"
}

// seen drops what HFS+ does, in strings.Map.
func seen(r rune) rune {
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
		return -1
	}
	return r
}

// hasOddByte finds what separates folders on some system, and control characters,
// which could make a terminal show another path than there is.
func hasOddByte(name string) bool {
	for i := range len(name) {
		if c := name[i]; c == '/' || c == '\\' || c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
