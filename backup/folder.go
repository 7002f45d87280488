package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/durable"
)

// folder is a store on the host, or of what is mounted there.
type folder struct {
	dir  string
	disk durable.Disk
}

// openFolder opens one that is there: what is not mounted must not fill the disk below.
func openFolder(dir string) (*folder, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, &tip{errors.New("it is not a folder that is there"), "mount the share, and make the folder in it"}
	}
	return &folder{dir: dir}, err
}

func (f *folder) List(context.Context) ([]Stored, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var list []Stored
	for _, e := range entries {
		name, ok := ParseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, Stored{name, info.Size()})
	}
	return list, nil
}

func (f *folder) Put(ctx context.Context, name string, from *os.File) error {
	return f.write(name, func(w io.Writer) error {
		_, err := io.Copy(w, reading{ctx, from})
		return err
	})
}

func (f *folder) write(name string, write func(io.Writer) error) (err error) {
	path := filepath.Join(f.dir, name)
	out, err := f.disk.Create(path + partial)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path+partial))
		}
	}()
	if err := errors.Join(write(out), out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := f.disk.Rename(path+partial, path); err != nil {
		return err
	}
	return f.disk.SyncDir(f.dir)
}

func (f *folder) Get(ctx context.Context, name string, to io.Writer) error {
	in, err := os.Open(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, errNoFile)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(to, reading{ctx, in})
	return err
}

func (f *folder) Remove(_ context.Context, name string) error {
	return errors.Join(f.disk.RemoveAll(filepath.Join(f.dir, name)), f.disk.SyncDir(f.dir))
}

func (*folder) Close() error { return nil }

// reading ends with its context.
type reading struct {
	ctx context.Context
	io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
