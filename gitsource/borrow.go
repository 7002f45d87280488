package gitsource

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// borrowing is a clone that git made with --shared or --reference: it looks for
// objects in other repositories, too. go-git's packer looks in none of those, and its
// readers open them anew for each object.
type borrowing struct {
	*filesystem.Storage
	lenders []*filesystem.Storage
}

// maxLenders bounds whom a clone borrows from, and those from whom they do.
const maxLenders = 100

// openStorage opens the folder of a repository, and of those that it borrows from.
func openStorage(dir billy.Filesystem) (*borrowing, error) {
	objects := cache.NewObjectLRUDefault()
	b := &borrowing{Storage: filesystem.NewStorageWithOptions(dir, objects, filesystem.Options{})}
	known := []string{dir.Root()}
	for left := []billy.Filesystem{dir}; len(left) > 0; left = left[1:] {
		found, err := dotgit.NewWithOptions(left[0], dotgit.Options{AlternatesFS: osfs.New("/")}).Alternates()
		if errors.Is(err, fs.ErrNotExist) && !borrows(left[0]) {
			continue
		}
		if err != nil {
			return nil, &hinted{err, "bring back the repository that this clone borrows objects from, or clone anew without --shared and --reference"}
		}
		for _, lender := range found {
			at := lender.Fs()
			if slices.Contains(known, at.Root()) {
				continue
			}
			if known = append(known, at.Root()); len(known) > maxLenders {
				return nil, errors.New("it borrows objects from more repositories than there can be")
			}
			b.lenders, left = append(b.lenders, filesystem.NewStorageWithOptions(at, objects, filesystem.Options{})), append(left, at)
		}
	}
	return b, nil
}

func borrows(dir billy.Filesystem) bool {
	_, err := dir.Stat("objects/info/alternates")
	return err == nil
}

// find looks for something in the clone, and then in each lender.
func find[T any](b *borrowing, in func(*filesystem.Storage) (T, error)) (T, error) {
	found, err := in(b.Storage)
	for _, lender := range b.lenders {
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			break
		}
		found, err = in(lender)
	}
	return found, err
}

func (b *borrowing) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	return find(b, func(s *filesystem.Storage) (plumbing.EncodedObject, error) { return s.EncodedObject(t, h) })
}

func (b *borrowing) DeltaObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	return find(b, func(s *filesystem.Storage) (plumbing.EncodedObject, error) { return s.DeltaObject(t, h) })
}

func (b *borrowing) EncodedObjectSize(h plumbing.Hash) (int64, error) {
	return find(b, func(s *filesystem.Storage) (int64, error) { return s.EncodedObjectSize(h) })
}

func (b *borrowing) HasEncodedObject(h plumbing.Hash) error {
	_, err := find(b, func(s *filesystem.Storage) (struct{}, error) { return struct{}{}, s.HasEncodedObject(h) })
	return err
}

// HashesWithPrefix lists what an abbreviation stands for.
func (b *borrowing) HashesWithPrefix(prefix []byte) ([]plumbing.Hash, error) {
	all, err := b.Storage.HashesWithPrefix(prefix)
	for _, lender := range b.lenders {
		more, lenderErr := lender.HashesWithPrefix(prefix)
		all, err = append(all, more...), errors.Join(err, lenderErr)
	}
	plumbing.HashesSort(all)
	return slices.Compact(all), err
}
