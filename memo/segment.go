package memo

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// A segment is: the values, one after the other; then for each, in the order of
// keys, its key, offset, length and CRC-32C; then the footer: how many there are,
// the CRC-32C of all that, and a magic. Numbers are big-endian.
const (
	segmentSuffix = ".memo"
	magic         = "HFMEMO01"
	entrySize     = sha256.Size + 8 + 4 + 4
	footerSize    = 4 + 4 + len(magic)
	maxEntries    = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("not a whole segment")

type segment struct {
	file  *os.File
	size  int64
	used  time.Time
	index map[key]place
	read  atomic.Bool // something in it was of use
}

type place struct {
	offset int64
	length uint32
	sum    uint32
}

func compareKeys(a, b key) int { return bytes.Compare(a[:], b[:]) }

func openSegment(path string) (*segment, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	seg, err := readSegment(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	return seg, nil
}

func readSegment(file *os.File) (*segment, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if size < int64(footerSize) {
		return nil, errDamaged
	}
	footer := make([]byte, footerSize)
	if _, err := file.ReadAt(footer, size-int64(footerSize)); err != nil {
		return nil, err
	}
	count := int64(binary.BigEndian.Uint32(footer))
	start := size - int64(footerSize) - count*entrySize
	if string(footer[8:]) != magic || count > maxEntries || start < 0 {
		return nil, errDamaged
	}
	table := make([]byte, count*entrySize)
	if _, err := file.ReadAt(table, start); err != nil {
		return nil, err
	}
	if crc32.Update(crc32.Checksum(table, castagnoli), castagnoli, footer[:4]) != binary.BigEndian.Uint32(footer[4:]) {
		return nil, errDamaged
	}
	seg := &segment{file: file, size: size, used: info.ModTime(), index: make(map[key]place, count)}
	for ; len(table) > 0; table = table[entrySize:] {
		p := place{int64(binary.BigEndian.Uint64(table[32:])), binary.BigEndian.Uint32(table[40:]), binary.BigEndian.Uint32(table[44:])}
		if p.offset < 0 || p.length > maxValue || p.offset+int64(p.length) > start {
			return nil, errDamaged
		}
		seg.index[key(table)] = p
	}
	return seg, nil
}

func (seg *segment) get(k key) ([]byte, bool) {
	p, ok := seg.index[k]
	if !ok {
		return nil, false
	}
	value := make([]byte, p.length)
	if _, err := seg.file.ReadAt(value, p.offset); err != nil || crc32.Checksum(value, castagnoli) != p.sum {
		return nil, false
	}
	seg.read.Store(true)
	return value, true
}

// writeSegment returns a name for it: that of its content.
func writeSegment(w io.Writer, keys []key, values map[key][]byte) (string, error) {
	h := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, h), 1<<20)
	table, offset := make([]byte, 0, len(keys)*entrySize), uint64(0)
	for _, k := range keys {
		value := values[k]
		if _, err := out.Write(value); err != nil {
			return "", err
		}
		table = append(table, k[:]...)
		table = binary.BigEndian.AppendUint64(table, offset)
		table = binary.BigEndian.AppendUint32(table, uint32(len(value)))
		table = binary.BigEndian.AppendUint32(table, crc32.Checksum(value, castagnoli))
		offset += uint64(len(value))
	}
	footer := binary.BigEndian.AppendUint32(nil, uint32(len(keys)))
	sum := crc32.Update(crc32.Checksum(table, castagnoli), castagnoli, footer)
	footer = append(binary.BigEndian.AppendUint32(footer, sum), magic...)
	if _, err := out.Write(append(table, footer...)); err != nil {
		return "", err
	}
	if err := out.Flush(); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
