// Package backup keeps copies of a site's cluster: on the host, and where its fleet
// says, each encrypted to those who may open it.
package backup

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Name is what a backup is, as the name of its file says it.
type Name struct {
	Site     string
	Number   int       // each of a site has a higher one than those before, whatever the clocks say
	Taken    time.Time // by the clock of the host that took it
	Revision string    // the first digits of the commit that was confirmed
	Digest   string    // of the file, SHA-256: its first digits
}

const (
	timeForm       = "20060102T150405Z"
	digestDigits   = 16
	revisionDigits = 12
	maxNumber      = 999_999_999
)

var nameForm = regexp.MustCompile(`^([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)_([0-9]{6,9})_([0-9]{8}T[0-9]{6}Z)_([0-9a-f]{12})_([0-9a-f]{16})\.age$`)

// String is the name of the file.
func (n Name) String() string {
	return fmt.Sprintf("%s_%06d_%s_%s_%s.age", n.Site, n.Number, n.Taken.UTC().Format(timeForm), n.Revision, n.Digest)
}

// ParseName reads the name of a file; ok is false if it is not one of a backup.
func ParseName(file string) (n Name, ok bool) {
	m := nameForm.FindStringSubmatch(file)
	if m == nil {
		return Name{}, false
	}
	number, err := strconv.Atoi(m[2])
	if err != nil {
		return Name{}, false
	}
	taken, err := time.Parse(timeForm, m[3])
	if err != nil {
		return Name{}, false
	}
	n = Name{m[1], number, taken, m[4], m[5]}
	return n, n.String() == file
}

// Stored is a backup that lies somewhere.
type Stored struct {
	Name
	Size int64
}

// of returns those of a site, the oldest first.
func of(site string, all []Stored) []Stored {
	list := slices.DeleteFunc(slices.Clone(all), func(s Stored) bool { return s.Site != site })
	slices.SortFunc(list, func(a, b Stored) int {
		return cmp.Or(a.Number-b.Number, a.Taken.Compare(b.Taken), cmp.Compare(a.Digest, b.Digest))
	})
	return list
}

// surplus are those of a site, the oldest first, that are more than are kept. The
// one of that name is kept.
func surplus(site string, all []Stored, keep int, last Name) []Stored {
	list := of(site, all)
	list = list[:max(0, len(list)-keep)]
	return slices.DeleteFunc(list, func(s Stored) bool { return s.Name == last })
}
