package secrets

import (
	"errors"
	"strings"
)

// A value is a mapping, a list, a comment (in a list), nil or a scalar: a
// string, an int, a float64, a bool, a []byte or a time.Time.

// mapping is an ordered mapping, with the comments between its entries.
type mapping []pair

// pair is an entry of a mapping, or a comment before the next one.
type pair struct {
	key   string
	value any
	note  *comment // not nil: a comment, and nothing else
	line  int      // in the file; 0 if not known
}

type list []any

// comment is one line of comment, without the # at its start.
type comment struct {
	text   string
	inline bool // after a value, on the same line
}

// get returns the value of a key, or nil.
func (m mapping) get(key string) any {
	for _, p := range m {
		if p.note == nil && p.key == key {
			return p.value
		}
	}
	return nil
}

// walk rewrites the scalars and comments of a document one by one, in order.
type walk struct {
	selector
	// leaf returns what stands in place of v. context is the additional data that v
	// is encrypted with: the keys that lead to it.
	leaf func(v any, context string, encrypted bool) (any, error)
	// notes are the comments that apply here, a slice for each level above.
	notes [][]string
	path  []string
}

var errDeep = errors.New("nested too deep")

func (w *walk) document(m mapping) (mapping, error) {
	w.notes, w.path = nil, nil
	return w.mapping(m)
}

func (w *walk) mapping(m mapping) (mapping, error) {
	if err := w.enter(); err != nil {
		return nil, err
	}
	defer w.leave()
	out := make(mapping, 0, len(m))
	for _, p := range m {
		if p.note != nil {
			w.note(p.note.text)
			v, err := w.value(*p.note)
			if err != nil {
				return nil, err
			}
			c, isComment := v.(comment)
			if !isComment {
				c.text, _ = v.(string) // encrypted
			}
			out = append(out, pair{note: &comment{c.text, p.note.inline}})
			continue
		}
		w.path = append(w.path, p.key)
		v, err := w.value(p.value)
		w.path = w.path[:len(w.path)-1]
		if err != nil {
			return nil, err
		}
		out = append(out, pair{key: p.key, value: v, line: p.line})
		w.forget()
	}
	return out, nil
}

func (w *walk) list(l list) (list, error) {
	if err := w.enter(); err != nil {
		return nil, err
	}
	defer w.leave()
	out := make(list, 0, len(l))
	for _, item := range l {
		c, isComment := item.(comment)
		if isComment {
			w.note(c.text)
		}
		v, err := w.value(item)
		if err != nil {
			return nil, err
		}
		if isComment && (v == "" || v == comment{}) {
			continue // encrypted, an empty one would be an empty text: one item more
		}
		out = append(out, v)
		if !isComment {
			w.forget()
		}
	}
	return out, nil
}

func (w *walk) value(v any) (any, error) {
	switch v := v.(type) {
	case mapping:
		return w.mapping(v)
	case list:
		return w.list(v)
	case nil:
		return nil, nil // there is nothing to encrypt
	}
	_, isComment := v.(comment)
	return w.leaf(v, strings.Join(w.path, ":")+":", w.encrypts(w.path, w.notes, isComment))
}

func (w *walk) enter() error {
	w.notes = append(w.notes, nil)
	if len(w.notes) > maxDepth {
		return errDeep
	}
	return nil
}

func (w *walk) leave() { w.notes = w.notes[:len(w.notes)-1] }

func (w *walk) note(text string) {
	last := len(w.notes) - 1
	w.notes[last] = append(w.notes[last], text)
}

func (w *walk) forget() { w.notes[len(w.notes)-1] = nil }
