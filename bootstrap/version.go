package bootstrap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Check tells whether the driver of a distribution knows the version of its
// Kubernetes: what it is made of, and how it is set up. The error has a hint.
func Check(d fleet.Distribution) error {
	driver, err := For(d.Type)
	if err != nil {
		return err
	}
	minors := driver.Minors()
	if slices.ContainsFunc(minors, func(known string) bool { return strings.HasPrefix(d.Version, known+".") }) {
		return nil
	}
	return &unknownVersion{d.Type, d.Version, minors}
}

// unknownVersion reports a version that no driver of this program can run.
type unknownVersion struct {
	kind, version string
	known         []string
}

func (u *unknownVersion) Error() string {
	return fmt.Sprintf("type %s does not know Kubernetes %s", u.kind, u.version)
}

// Hint lists the versions that there are.
func (u *unknownVersion) Hint() string {
	return "choose a version of " + strings.Join(u.known, " or ") + ", or update agents to a release of Holdfast that knows this one"
}

// CheckUpgrade tells whether hosts take a cluster from one distribution to another, where
// commits allow them to go back to versions. The error has a hint.
func CheckUpgrade(was, is fleet.Distribution, allow []string) error {
	a, b := fleet.VersionOf(was.Version), fleet.VersionOf(is.Version)
	patch := a[0] == b[0] && a[1] == b[1]
	switch {
	case was.Type != is.Type || is.Type == fleet.Embedded:
		return nil
	case b.Compare(a) < 0 && slices.Contains(allow, is.Version):
		return nil
	case is.Type != fleet.Kubeadm && patch:
		return nil
	}
	return fleet.CheckUpgrade(was.Version, is.Version)
}
