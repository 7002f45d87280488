package secrets

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule says how a document is encrypted.
type Rule struct {
	Selection
	Recipients []string       // age1…, ssh-ed25519 … or ssh-rsa …
	Indent     map[Format]int // spaces; what is missing is as sops has it
}

// Encrypt makes a document of a file that is not encrypted yet.
func Encrypt(file string, plain []byte, rule Rule, now time.Time) ([]byte, error) {
	docs, err := parsePlain(file, plain)
	if err != nil {
		return nil, err
	}
	to, err := recipients(rule.Recipients)
	if err != nil {
		return nil, fmt.Errorf("encrypt %s: %w", file, err)
	}
	m := metadata{Selection: rule.Selection, version: formatVersion}
	if FormatOf(file) == Binary {
		m.Selection = Selection{} // there is one value
	}
	if m.isEmpty() {
		m.UnencryptedSuffix = defaultSuffix // said, as sops does
	}
	key, err := m.newKey(to)
	if err != nil {
		return nil, fmt.Errorf("encrypt %s: %w", file, err)
	}
	box, err := newBox(key)
	if err != nil {
		return nil, err
	}
	return sealer{file, rule.Indent, box, now}.seal(m, docs)
}

// Edit encrypts changed content to the same recipients. What did not change
// keeps its ciphertext.
func (p *Plaintext) Edit(plain []byte, indent map[Format]int, now time.Time) ([]byte, error) {
	docs, err := parsePlain(p.doc.file, plain)
	if err != nil {
		return nil, err
	}
	return sealer{p.doc.file, indent, p.box.clone(), now}.seal(p.doc.meta, docs)
}

// Rotate encrypts the same content anew to the given recipients, with a new data
// key: who is left out cannot open what comes after.
func (p *Plaintext) Rotate(rule Rule, now time.Time) ([]byte, error) {
	to, err := recipients(rule.Recipients)
	if err != nil {
		return nil, fmt.Errorf("rotate %s: %w", p.doc.file, err)
	}
	if len(p.doc.meta.others) > 0 {
		var kinds []string
		for _, o := range p.doc.meta.others {
			kinds = append(kinds, otherKinds()[o.key])
		}
		return nil, problemf(p.doc.file, 0, "rotate it with sops rotate, or encrypt it anew to age alone", "also encrypted to %s", strings.Join(kinds, ", "))
	}
	m := p.doc.meta
	key, err := m.newKey(to)
	if err != nil {
		return nil, fmt.Errorf("rotate %s: %w", p.doc.file, err)
	}
	box, err := newBox(key)
	if err != nil {
		return nil, err
	}
	return sealer{p.doc.file, rule.Indent, box, now}.seal(m, p.docs)
}

// newKey makes a data key and encrypts it to the recipients.
func (m *metadata) newKey(to []string) ([]byte, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	keys, err := wrapKey(key, to)
	m.keys = keys
	return key, err
}

// clone lets the same nonces be used again for another result.
func (b *box) clone() *box {
	c := &box{gcm: b.gcm, nonces: map[string][][]byte{}}
	for memo, nonces := range b.nonces {
		c.nonces[memo] = slices.Clone(nonces)
	}
	return c
}

type sealer struct {
	file   string
	indent map[Format]int
	box    *box
	now    time.Time
}

func (s sealer) seal(m metadata, docs []mapping) ([]byte, error) {
	sel, err := m.selector()
	if err != nil {
		return nil, fmt.Errorf("encrypt %s: %w", s.file, err)
	}
	mac, sealed := newMAC(m.MACOnlyEncrypted), 0
	w := &walk{selector: sel}
	w.leaf = func(v any, context string, encrypted bool) (any, error) {
		if err := mac.add(v, encrypted); err != nil || !encrypted {
			return v, err
		}
		text, err := s.box.seal(v, context)
		if c, isComment := v.(comment); isComment && sel.onComment != nil && !sel.matchEncrypts && sel.onComment(text) {
			return nil, fmt.Errorf("unencrypted_comment_regex matches what a comment of %d characters is encrypted to", len(c.text))
		}
		sealed++
		return text, err
	}
	var out []mapping
	for _, doc := range docs {
		enc, err := w.document(doc)
		if err != nil {
			return nil, fmt.Errorf("encrypt %s: %w", s.file, err)
		}
		out = append(out, enc)
	}
	if sealed == 0 {
		return nil, problemf(s.file, 0, "look at the keys in it and at the rule of .sops.yaml", "nothing in it would be encrypted")
	}
	m.changed = s.now.UTC().Truncate(time.Second)
	if m.mac, err = s.box.seal(mac.sum(), m.changed.Format(time.RFC3339)); err != nil {
		return nil, err
	}
	format := FormatOf(s.file)
	indent, set := s.indent[format]
	if !set {
		indent = -1
	}
	if format == Binary {
		format = JSON
	}
	data, err := write(format, m.embed(FormatOf(s.file), out), indent)
	if err != nil {
		return nil, fmt.Errorf("encrypt %s: %w", s.file, err)
	}
	if len(data) > MaxSize {
		return nil, problemf(s.file, 0, "secrets are small: split the file", "larger than %d KiB when encrypted", MaxSize>>10)
	}
	return data, nil
}
