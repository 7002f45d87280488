package content

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

const maxEntries = 100000 // of an archive

// archive is a tar file or a folder, of which any file can be read at any time.
type archive struct {
	io.Closer
	open func(name string) (*io.SectionReader, error) // fs.ErrNotExist if it has no such file
}

func openArchive(path string) (*archive, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return openFolder(path)
	}
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	a, err := scan(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

// scan notes where in f the bytes of each regular entry are.
func scan(f *os.File) (*archive, error) {
	entries, links := map[string]*io.SectionReader{}, map[string]string{}
	tr := tar.NewReader(f) // does not read ahead of an entry's first byte
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("is no plain tar file (decompress it first): %w", err)
		}
		if len(entries)+len(links) == maxEntries {
			return nil, fmt.Errorf("has more than %d entries", maxEntries)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			offset, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			entries[name] = io.NewSectionReader(f, offset, h.Size)
		case tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			links[name] = path.Clean(h.Linkname)
		}
	}
	return &archive{f, func(name string) (*io.SectionReader, error) {
		if target, ok := links[name]; ok {
			name = target
		}
		if r := entries[name]; r != nil {
			return io.NewSectionReader(r, 0, r.Size()), nil
		}
		return nil, fs.ErrNotExist
	}}, nil
}

// openFolder reads the regular files of a folder, and none outside it.
func openFolder(dir string) (*archive, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &archive{root, func(name string) (*io.SectionReader, error) {
		info, err := root.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is no regular file", name)
		}
		return io.NewSectionReader(fileIn{root, name}, 0, info.Size()), nil
	}}, nil
}

// fileIn is a file of a folder, open only while it is read.
type fileIn struct {
	root *os.Root
	name string
}

func (f fileIn) ReadAt(p []byte, offset int64) (int, error) {
	file, err := f.root.Open(f.name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.ReadAt(p, offset)
}

func (a *archive) has(name string) bool {
	_, err := a.open(name)
	return err == nil
}

func (a *archive) find(name string) (*io.SectionReader, error) {
	name = path.Clean(name)
	r, err := a.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("has no %s", name)
	}
	return r, err
}

func (a *archive) read(name string) ([]byte, error) {
	r, err := a.find(name)
	if err != nil {
		return nil, err
	}
	data, err := readLimited(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
