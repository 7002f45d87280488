package bootstrap

import (
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// CheckHosts tells whether so many hosts can be nodes of one cluster of a distribution.
// The error has a hint.
func CheckHosts(d fleet.Distribution, hosts int) error {
	driver, err := For(d.Type)
	if err != nil || hosts < 2 {
		return err
	}
	if !driver.Shares() {
		return &tooMany{fmt.Sprintf("a cluster of type %s has one host, and the site has %d", d.Type, hosts),
			"keep one host of the site active, or choose another type of distribution"}
	}
	if pods, err := netip.ParsePrefix(d.PodCIDR); err == nil && pods.Addr().Is4() {
		room := 1 << max(0, 24-pods.Bits())
		if room < hosts {
			return &tooMany{fmt.Sprintf("podCIDR %s has networks for the pods of %d nodes, a /24 each, and the site has %d hosts", pods, room, hosts),
				fmt.Sprintf("choose a network of /%d or larger, before the cluster is made", 24-bits.Len(uint(hosts-1)))}
		}
	}
	return nil
}

// tooMany reports a site with more hosts than its cluster can have.
type tooMany struct{ what, hint string }

func (t *tooMany) Error() string { return t.what }

// Hint says what can be done.
func (t *tooMany) Hint() string { return t.hint }
