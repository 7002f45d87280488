package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
)

// Memo keeps what was parsed, for the next load. It may forget, and need not be
// trusted to give back what was put: a record that is damaged counts as none. It
// is used by several goroutines at once.
type Memo interface {
	Get(key string) ([]byte, bool)
	Put(key string, value []byte)
}

// Digester is a file system that knows digests of its files and folders: the
// same digest means the same bytes, names and modes.
type Digester interface {
	Digest(name string) (string, error)
}

// recordFormat changes with what is kept, and with what the parser makes of a file.
const recordFormat = "holdfast site 3\n"

// key is the memo's key of a site's folder; empty if nothing is kept.
func (l *loader) key(dir string) string {
	d, ok := l.fsys.(Digester)
	if l.Memo == nil || !ok {
		return ""
	}
	digest, err := d.Digest(dir)
	if err != nil || digest == "" {
		return ""
	}
	return recordFormat + digest
}

func checksum(key string, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(key))
	h.Write(body)
	return h.Sum(nil)
}

// recall returns the record that was kept under key; nil if there is no good one.
func recall(m Memo, key string) *siteRecord {
	value, ok := m.Get(key)
	if !ok || len(value) < sha256.Size {
		return nil
	}
	sum, body := value[:sha256.Size], value[sha256.Size:]
	record := new(siteRecord)
	if !bytes.Equal(sum, checksum(key, body)) || json.Unmarshal(body, record) != nil {
		return nil
	}
	return record
}

func keep(m Memo, key string, record *siteRecord) {
	if body, err := json.Marshal(record); err == nil {
		m.Put(key, append(checksum(key, body), body...))
	}
}
