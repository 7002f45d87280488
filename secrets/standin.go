package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// standInPrefix and the 64 hex digits after it are also base64, as the data of a
// Secret must be: so an API server takes an object with stand-ins in it.
const standInPrefix = "holdfast/sealed/"

func standIn(ciphertext string) string {
	sum := sha256.Sum256([]byte(ciphertext))
	return standInPrefix + hex.EncodeToString(sum[:])
}

// IsStandIn tells whether a text stands in for something encrypted.
func IsStandIn(text string) bool {
	digest, ok := strings.CutPrefix(text, standInPrefix)
	_, err := hex.DecodeString(digest)
	return ok && err == nil && len(digest) == 2*sha256.Size
}

// HoldsStandIn tells whether a text has a stand-in in it, or a part of one.
func HoldsStandIn(text string) bool { return strings.Contains(text, standInPrefix) }

// StandIn stands for all of what is in the document: it is made of its digest.
func (d *Document) StandIn() string { return standInPrefix + strings.TrimPrefix(d.digest, "sha256:") }

// Carried is what rendering reads in place of the document: the same without
// its metadata, and with a stand-in, made of the digest of the ciphertext, for
// each encrypted text; known lists them.
func (d *Document) Carried() (data []byte, known []string, err error) {
	sel, err := d.meta.selector()
	if err != nil {
		return nil, nil, err
	}
	w := &walk{selector: sel}
	w.leaf = func(v any, context string, encrypted bool) (any, error) {
		if _, isComment := v.(comment); isComment || !encrypted || v == "" {
			return v, nil
		}
		text, _ := v.(string)
		key := strings.ReplaceAll(strings.TrimSuffix(context, ":"), ":", ".")
		switch m := sealedValue.FindStringSubmatch(text); {
		case m == nil:
			return nil, problemf(d.file, 0, errChanged.tip, "the value of %s is %s", key, errNotSealed)
		case m[4] != "str":
			return nil, problemf(d.file, 0, "edit the secret, and quote the value: as text it fits wherever it is put", "the value of %s is not text", key)
		}
		known = append(known, standIn(text))
		return standIn(text), nil
	}
	var docs []mapping
	for _, doc := range d.docs {
		carried, err := w.document(doc)
		if err != nil {
			return nil, nil, err
		}
		docs = append(docs, carried)
	}
	data, err = write(d.format, docs, -1)
	return data, known, err
}

// StandIns returns what each stand-in for the document, or for a text in it, stands for.
func (p *Plaintext) StandIns() (map[string]string, error) {
	whole, err := p.Bytes()
	if err != nil {
		return nil, err
	}
	all := map[string]string{p.doc.StandIn(): string(whole)}
	for ciphertext, plain := range p.texts {
		all[standIn(ciphertext)] = plain
	}
	return all, nil
}
