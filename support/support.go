// Package support packs what somebody far away needs to help, without secrets: one
// archive of bounded size that begins with a list of what is in it.
package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"time"
)

const (
	maxFile = 2 << 20  // bytes; of a longer one, the end
	maxAll  = 12 << 20 // bytes before compression
)

// ListFile is the name of the list, which is the first file of an archive.
const ListFile = "CONTENTS.txt"

// Archive is what is packed, in the order in which it was added.
type Archive struct {
	hide  *Redactor
	files []file
	left  []string // what could not be had, and why
	size  int
}

type file struct {
	name, what string
	data       []byte
	cut        bool
}

// New begins an archive from which hide takes all secrets.
func New(hide *Redactor) *Archive { return &Archive{hide: hide} }

// Add packs a file, or notes why there is none.
func (a *Archive) Add(name, what string, data []byte, err error) {
	name, what = a.hide.Text(name), a.hide.Text(what)
	switch {
	case err != nil:
		a.left = append(a.left, fmt.Sprintf("%s (%s): %s", name, what, a.hide.Text(err.Error())))
		return
	case len(data) == 0:
		return
	case a.size+min(len(data), maxFile) > maxAll:
		a.left = append(a.left, fmt.Sprintf("%s (%s): the archive would be too large", name, what))
		return
	}
	f := file{name: name, what: what, cut: len(data) > maxFile}
	if f.cut {
		data = end(data)
	}
	f.data = []byte(a.hide.Text(string(data)))
	a.size += len(f.data)
	a.files = append(a.files, f)
}

// end is the end of a long text, from where a line begins on, but for the rest of a
// key of which that is not seen any more.
func end(data []byte) []byte {
	data = data[len(data)-maxFile:]
	_, data, _ = bytes.Cut(data, []byte("\n"))
	ends, begins := bytes.Index(data, []byte("-----END ")), bytes.Index(data, []byte("-----BEGIN "))
	if ends >= 0 && (begins < 0 || ends < begins) {
		_, data, _ = bytes.Cut(data[ends:], []byte("\n"))
	}
	return data
}

// List says what is in the archive.
func (a *Archive) List() string {
	var b bytes.Buffer
	fmt.Fprintln(&b, "What is in this archive. Secrets, keys, tokens and credentials were taken out.")
	fmt.Fprintln(&b)
	for _, f := range a.files {
		cut := ""
		if f.cut {
			cut = " (only its end)"
		}
		fmt.Fprintf(&b, "%-24s %8d bytes  %s%s\n", f.name, len(f.data), f.what, cut)
	}
	if len(a.left) > 0 {
		fmt.Fprintf(&b, "\nWhat is not, and why:\n\n")
	}
	for _, line := range a.left {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// Write packs all below a folder, as tar and gzip do.
func (a *Archive) Write(w io.Writer, folder string, at time.Time) error {
	folder = a.hide.Text(folder)
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	list := file{name: ListFile, data: []byte(a.List())}
	for _, f := range append([]file{list}, a.files...) {
		header := &tar.Header{Name: folder + "/" + f.name, Mode: 0o600, Size: int64(len(f.data)), ModTime: at, Format: tar.FormatPAX}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(f.data); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return zip.Close()
}
