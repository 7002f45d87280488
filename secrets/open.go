package secrets

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNoIdentity reports that none of the identities opens the document.
var ErrNoIdentity = errors.New("no key fits")

// ErrMAC reports a document that is not as it was written.
var ErrMAC = errors.New("the MAC does not fit")

// Plaintext is what was inside a document whose MAC fits.
type Plaintext struct {
	doc     *Document
	key     []byte
	box     *box
	docs    []mapping
	secrets []string
	texts   map[string]string // by ciphertext
}

// Open decrypts the document and checks that it is as it was written; before
// that is known, nothing leaves here. Its error is a [Problem], or wraps
// [ErrNoIdentity] or [ErrMAC].
func (d *Document) Open(ids ...Identity) (*Plaintext, error) {
	key := unwrapKey(d.meta.keys, ids)
	if key == nil {
		return nil, fmt.Errorf("open %s: %w", d.file, &hintError{
			fmt.Errorf("%w: it is encrypted to %s", ErrNoIdentity, some(d.Recipients())),
			"add the key's recipient to .sops.yaml, and run \"holdfast secrets rotate\" with a key that opens it"})
	}
	box, err := newBox(key)
	if err != nil {
		return nil, err
	}
	p := &Plaintext{doc: d, key: key, box: box, texts: map[string]string{}}
	sum, err := p.decrypt()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.file, err)
	}
	said, err := box.open(d.meta.mac, d.meta.changed.Format(time.RFC3339))
	text, _ := said.(string)
	if err != nil || text == "" || subtle.ConstantTimeCompare([]byte(text), []byte(sum)) != 1 {
		return nil, fmt.Errorf("open %s: %w", d.file, errChanged)
	}
	return p, nil
}

var errChanged = &hintError{fmt.Errorf("%w: the file was changed since it was encrypted", ErrMAC),
	"take it from an older commit, and change it with \"holdfast secrets edit\" or sops only"}

// hintError is an error that somebody can do something about.
type hintError struct {
	error
	tip string
}

func (e *hintError) Unwrap() error { return e.error }

// Hint says what.
func (e *hintError) Hint() string { return e.tip }

// some lists a few names.
func some(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

// decrypt fills in the values and returns their MAC.
func (p *Plaintext) decrypt() (string, error) {
	sel, err := p.doc.meta.selector()
	if err != nil {
		return "", err
	}
	mac := newMAC(p.doc.meta.MACOnlyEncrypted)
	w := &walk{selector: sel}
	w.leaf = func(v any, context string, encrypted bool) (any, error) {
		if encrypted {
			if v, err = p.openLeaf(v, context); err != nil {
				return nil, err
			}
		}
		return v, mac.add(v, encrypted)
	}
	for _, doc := range p.doc.docs {
		plain, err := w.document(doc)
		if err != nil {
			return "", err
		}
		p.docs = append(p.docs, plain)
	}
	return mac.sum(), nil
}

func (p *Plaintext) openLeaf(v any, context string) (any, error) {
	if c, isComment := v.(comment); isComment {
		opened, err := p.box.open(c.text, context)
		if err != nil {
			return c, nil // old versions of sops leave comments as they are
		}
		if _, still := opened.(comment); still || opened == "" {
			return opened, nil
		}
		return nil, &hintError{fmt.Errorf("%w: a value in place of a comment", ErrMAC), brokenTip}
	}
	text, isText := v.(string)
	var plain any
	err := errNotSealed
	if isText {
		plain, err = p.box.open(text, context)
	}
	if err != nil {
		where := strings.ReplaceAll(strings.TrimSuffix(context, ":"), ":", ".")
		return nil, &hintError{fmt.Errorf("%w: the value of %s is %w", ErrMAC, where, err), errChanged.tip}
	}
	if _, isComment := plain.(comment); !isComment {
		if _, data, err := untyped(plain); err == nil && len(data) > 0 {
			p.secrets = append(p.secrets, string(data))
			p.texts[text] = string(data)
		}
	}
	return plain, nil
}

// mac computes the MAC of a document: a hash over its plain values in order.
type mac struct {
	hash.Hash
	onlyEncrypted bool
}

func newMAC(onlyEncrypted bool) mac {
	m := mac{sha512.New(), onlyEncrypted}
	if onlyEncrypted {
		start := sha256.Sum256([]byte("sops")) // so that it differs from the MAC of all values
		m.Write(start[:])
	}
	return m
}

func (m mac) add(v any, encrypted bool) error {
	if _, isComment := v.(comment); isComment || m.onlyEncrypted && !encrypted {
		return nil
	}
	_, plain, err := untyped(v)
	m.Write(plain)
	return err
}

func (m mac) sum() string { return fmt.Sprintf("%X", m.Sum(nil)) }

// Bytes returns the plaintext in the file's own format, without the metadata.
func (p *Plaintext) Bytes() ([]byte, error) {
	data, err := write(p.doc.format, p.docs, -1)
	if err != nil {
		err = fmt.Errorf("write what is in %s: %w", p.doc.file, err)
	}
	return data, err
}

func write(format Format, docs []mapping, indent int) ([]byte, error) {
	switch format {
	case YAML:
		return writeYAML(docs, indent)
	case JSON:
		return writeJSON(docs[0], indent)
	case Dotenv:
		return writeDotenv(docs[0])
	}
	return writeBinary(docs[0])
}

// Secrets returns every value that was encrypted, as text, once: what no output may show.
func (p *Plaintext) Secrets() []string {
	all := slices.Clone(p.secrets)
	slices.Sort(all)
	return slices.Compact(all)
}

// Value is one scalar of a document.
type Value struct {
	Path []string // keys from the root, and positions in lists from "0"
	Data any      // string, int, float64, bool, []byte, time.Time or nil
}

// Values returns all scalars, in the order of the file.
func (p *Plaintext) Values() []Value {
	var all []Value
	for _, doc := range p.docs {
		all = append(all, scalars(nil, doc)...)
	}
	return all
}

// Lookup returns the scalar at path, as in [Value], of the first document that has it.
func (p *Plaintext) Lookup(path ...string) (any, bool) {
	for _, v := range p.Values() {
		if slices.Equal(v.Path, path) {
			return v.Data, true
		}
	}
	return nil, false
}

func scalars(path []string, v any) []Value {
	var all []Value
	at := func(key string) []string { return append(slices.Clone(path), key) }
	switch v := v.(type) {
	case mapping:
		for _, p := range v {
			if p.note == nil {
				all = append(all, scalars(at(p.key), p.value)...)
			}
		}
	case list:
		i := 0
		for _, item := range v {
			if _, isComment := item.(comment); !isComment {
				all = append(all, scalars(at(strconv.Itoa(i)), item)...)
				i++
			}
		}
	default:
		all = []Value{{path, v}}
	}
	return all
}
