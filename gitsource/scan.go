package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/holdfast-fleet/holdfast/durable"
)

// scan is what a first look at a pack finds out.
type scan struct {
	size     int64 // bytes of the pack
	count    uint32
	unpacked int64                  // bytes of all objects
	bases    map[plumbing.Hash]bool // what deltas build on by name
}

// scanPack goes through a pack without keeping anything, before go-git does,
// which trusts the sizes that a pack declares.
func scanPack(ctx context.Context, file *durable.File, size int64, lim limits) (*scan, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("scan pack: %w", err)
	}
	scanner := packfile.NewScanner(file)
	_, count, err := scanner.Header()
	if err != nil {
		return nil, packError(err)
	}
	if count > lim.objects {
		return nil, fmt.Errorf("pack of %d objects, at most %d are allowed", count, lim.objects)
	}
	s := &scan{size: size, count: count, bases: make(map[plumbing.Hash]bool)}
	meter := newMeter(ctx, "scanning", false, int64(count))
	for range count {
		meter.add(1)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := s.object(scanner, lim)
		if err != nil {
			return nil, err
		}
		if s.unpacked += n; s.unpacked > lim.unpacked {
			return nil, fmt.Errorf("pack of more than %d bytes unpacked", lim.unpacked)
		}
	}
	if _, err := scanner.Checksum(); err != nil {
		return nil, packError(err)
	}
	// The scanner reads ahead, so its own position tells where the pack ends.
	end, err := scanner.SeekFromStart(0)
	if err != nil {
		return nil, packError(err)
	}
	if end != size {
		return nil, fmt.Errorf("%d bytes follow the pack", size-end)
	}
	return s, nil
}

// object returns the size of the next object, unpacked and with deltas applied.
func (s *scan) object(scanner *packfile.Scanner, lim limits) (int64, error) {
	header, err := scanner.NextObjectHeader()
	if err != nil {
		return 0, packError(err)
	}
	if header.Type == plumbing.REFDeltaObject {
		s.bases[header.Reference] = true
	}
	if header.Length > lim.object {
		return 0, fmt.Errorf("object of %d bytes, at most %d are allowed", header.Length, lim.object)
	}
	parts, out := new(delta), io.Discard
	if header.Type.IsDelta() {
		out = parts
	}
	n, _, err := scanner.NextObject(out)
	if err != nil {
		return 0, packError(err)
	}
	if n != header.Length {
		return 0, errors.New("corrupt pack: object shorter than declared")
	}
	if !header.Type.IsDelta() {
		return n, nil
	}
	if !parts.whole() {
		return 0, errors.New("corrupt pack: malformed delta")
	}
	if parts.sizes[1] > uint64(lim.object) {
		return 0, fmt.Errorf("object of %d bytes, at most %d are allowed", parts.sizes[1], lim.object)
	}
	return int64(parts.sizes[1]), nil
}

// delta follows the parts of a delta as it is unpacked (gitformat-pack(5)): two
// sizes, then instructions. go-git names what an instruction makes that is cut
// off, and cannot read it afterwards.
type delta struct {
	sizes [2]uint64 // of what it builds on, and of what it makes
	known int       // how many of them were read
	shift uint
	skip  int // bytes that belong to the instruction
}

func (d *delta) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case d.known < len(d.sizes):
			d.sizes[d.known] |= uint64(c&0x7f) << d.shift
			if d.shift += 7; c < 0x80 {
				d.known, d.shift = d.known+1, 0
			}
		case d.skip > 0:
			n := min(d.skip, len(p)-i)
			d.skip, i = d.skip-n, i+n-1
		case c < 0x80:
			d.skip = int(c) // bytes to add
		default:
			d.skip = bits.OnesCount8(c & 0x7f) // of where to copy from, and how many
		}
	}
	return len(p), nil
}

func (d *delta) whole() bool { return d.known == len(d.sizes) && d.skip == 0 }
