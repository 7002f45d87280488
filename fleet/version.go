package fleet

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is major, minor and patch of a version of Kubernetes.
type Version [3]int

var versionNumbers = regexp.MustCompile(`^v([0-9]+)\.([0-9]+)\.([0-9]+)`)

// VersionOf reads a version as a Distribution has it, like v1.36.3+k3s1. Of what is
// none it is zero.
func VersionOf(text string) (v Version) {
	for i, number := range versionNumbers.FindStringSubmatch(text) {
		if i > 0 {
			v[i-1], _ = strconv.Atoi(number) // of digits, so at worst it is the greatest that there is
		}
	}
	return v
}

// Compare is negative where v is older than w, and positive where it is newer.
func (v Version) Compare(w Version) int {
	for i := range v {
		if v[i] != w[i] {
			return v[i] - w[i]
		}
	}
	return 0
}

// CheckUpgrade tells whether a cluster that runs one version may be given another: see
// https://kubernetes.io/releases/version-skew-policy. The error has a hint.
func CheckUpgrade(from, to string) error {
	a, b := VersionOf(from), VersionOf(to)
	next := fmt.Sprintf("v%d.%d", a[0], a[1]+1)
	back := "set the version back; or, where a commit says \"Allow-Downgrade: " + to + "\", hosts go back to it"
	switch {
	case a[0] == b[0] && a[1] == b[1] && b[2] < a[2]:
		return &stepError{"an older patch of Kubernetes: what it mended is broken again", back}
	case b.Compare(a) < 0:
		return &stepError{fmt.Sprintf("Kubernetes does not go back from %s to %s: what is in etcd may be unreadable to it", from, to),
			back + ", with the data of before the upgrade"}
	case b[0] != a[0] || b[1] > a[1]+1:
		return &stepError{fmt.Sprintf("Kubernetes goes up one minor version at a time: from %s to %s first", from, next),
			"let the fleet say a version of " + next + ", and the newer one once the hosts run that"}
	}
	return nil
}

// stepError reports two versions that do not follow each other.
type stepError struct{ what, hint string }

func (e *stepError) Error() string { return e.what }

// Hint says what can be done.
func (e *stepError) Hint() string { return e.hint }
