// Package secrets reads and writes SOPS documents that are encrypted with age.
//
// A [Document] is what lies in the repository: it says who can open it and has a
// digest, which rendering carries in place of what is inside. Opening it checks
// its MAC first; only then does a [Plaintext] exist. The documents are those of
// the program sops, in YAML, JSON, dotenv and binary form, and sops opens those
// that are written here.
//
//	doc, err := secrets.Parse(file, data) // at headquarters and on the host
//	doc.Digest()                          // stands for it in what is rendered
//	plain, err := doc.Open(identities...) // on the host, at the last moment
//
// Errors name the file and what is wrong with it, never what is inside.
package secrets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"
)

// Limits of a document.
const (
	MaxSize       = 4 << 20 // bytes, encrypted or not
	maxDepth      = 64
	maxValues     = 100_000 // after aliases are followed
	maxRecipients = 4096
)

// Format is how the values of a document are written down.
type Format string

// The formats, as sops calls them.
const (
	YAML   Format = "yaml"
	JSON   Format = "json"
	Dotenv Format = "dotenv"
	Binary Format = "binary"
)

// FormatOf tells the format by the name of the file, as sops does; what has no
// format of its own is [Binary].
func FormatOf(file string) Format {
	switch path.Ext(file) {
	case ".yaml", ".yml":
		return YAML
	case ".json":
		return JSON
	case ".env":
		return Dotenv
	}
	return Binary
}

// Document is an encrypted document.
type Document struct {
	file   string
	format Format
	digest string
	docs   []mapping // without the metadata
	meta   metadata
}

// Detect reports whether data is a SOPS document, if perhaps a broken one.
func Detect(file string, data []byte) bool {
	if len(data) > MaxSize || !bytes.Contains(data, []byte("lastmodified")) && !bytes.Contains(data, []byte("ENC[")) {
		return false
	}
	docs, err := parse(file, data)
	if err != nil {
		return false
	}
	_, found := metadataOf(FormatOf(file), docs)
	return found
}

// Parse reads an encrypted document. It cannot tell yet whether the document is
// as it was written: [Document.Open] can. Its error is a [Problem].
func Parse(file string, data []byte) (*Document, error) {
	docs, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	raw, found := metadataOf(FormatOf(file), docs)
	if !found {
		return nil, &Problem{File: file, Msg: "not a SOPS document: it has no sops metadata",
			Tip: "encrypt it: holdfast secrets edit " + file}
	}
	meta, err := readMetadata(file, raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	d := &Document{file: file, format: FormatOf(file), digest: "sha256:" + hex.EncodeToString(sum[:]), meta: meta}
	for _, doc := range docs {
		d.docs = append(d.docs, withoutMetadata(d.format, doc))
	}
	return d, nil
}

// parse reads the values of a file, encrypted or not.
func parse(file string, data []byte) ([]mapping, error) {
	if len(data) > MaxSize {
		return nil, problemf(file, 0, "secrets are small: split the file", "larger than %d KiB", MaxSize>>10)
	}
	if path.Ext(file) == ".ini" {
		return nil, problemf(file, 0, "write it as .yaml, .json or .env", "INI documents are not supported")
	}
	switch FormatOf(file) {
	case YAML:
		return parseYAML(file, data)
	case Dotenv:
		return parseDotenv(file, data)
	}
	return parseJSON(file, data)
}

// parsePlain reads the values of a file that is not encrypted.
func parsePlain(file string, data []byte) ([]mapping, error) {
	if FormatOf(file) == Binary && len(data) <= MaxSize {
		return []mapping{{{key: binaryKey, value: string(data)}}}, nil
	}
	docs, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		if i := slices.IndexFunc(doc, func(p pair) bool { return p.holdsMetadata(FormatOf(file)) }); i >= 0 {
			return nil, problemf(file, doc[i].line, "give it another name", "the key %s is reserved for the metadata of SOPS", doc[i].key)
		}
	}
	return docs, nil
}

// Digest names the encrypted bytes: "sha256:…". It says nothing of what is inside.
func (d *Document) Digest() string { return d.digest }

// Recipients returns the public keys that the document is encrypted to: age1…,
// or ssh-… without a comment, in the order of the file.
func (d *Document) Recipients() []string {
	var all []string
	for _, k := range d.meta.keys {
		all = append(all, plainKey(k.recipient))
	}
	return all
}

// EncryptedTo reports whether the document is encrypted to a public key; a comment
// after it does not matter.
func (d *Document) EncryptedTo(publicKey string) bool {
	return slices.Contains(d.Recipients(), plainKey(publicKey))
}

// plainKey returns a public key without a comment.
func plainKey(key string) string {
	words := strings.Fields(key)
	if len(words) > 1 && strings.HasPrefix(words[0], "ssh-") {
		return words[0] + " " + words[1]
	}
	return strings.TrimSpace(key)
}
