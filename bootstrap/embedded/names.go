package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
)

// idOf tells the nodes of one machine apart, in names that the kernel limits to 15 bytes.
func idOf(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(sum[:5])
}

func cgroupOf(dir string) string { return "holdfast-" + idOf(dir) }
func bridgeOf(dir string) string { return "hf" + idOf(dir) }

// firstAddress returns the first usable address of a network, alone and with the prefix length.
func firstAddress(cidr string) (address, withLength string, err error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", "", err
	}
	if !prefix.Addr().Is4() || prefix.Bits() > 29 {
		return "", "", fmt.Errorf("%s: must be an IPv4 network of 8 addresses or more", cidr)
	}
	first := prefix.Masked().Addr().Next()
	return first.String(), netip.PrefixFrom(first, prefix.Bits()).String(), nil
}
