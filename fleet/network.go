package fleet

import (
	"net/netip"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// interfacePattern is what Linux takes for the name of a network interface.
const interfacePattern = `^[^\s/:]{1,15}$`

var interfaceName = regexp.MustCompile(interfacePattern)

func (r reader) networkFields(h *hostRecord) map[string]field {
	return map[string]field{
		"address": {false, "A static address of the host, that the others of its site reach it at", matching(addressPattern), func(n *yaml.Node) {
			text := r.text(n, "address")
			if err := address(text); err != nil {
				r.problem(n, "write it like 10.0.0.11, without a mask", "network: %s", err)
			} else if a := netip.MustParseAddr(text); !a.IsGlobalUnicast() {
				r.problem(n, "give the address that the others reach the host at", "network: %s is not the address of one host", a)
			} else {
				h.Network.Address, h.AddressAt = text, n.Line
			}
		}},
		"interface": {false, "The interface with the address, like eth0; alone, for its first address", matching(interfacePattern), func(n *yaml.Node) {
			if h.Network.Interface = r.text(n, "interface"); !interfaceName.MatchString(h.Network.Interface) {
				r.problem(n, "ip link lists them", "network: %q is not the name of an interface", h.Network.Interface)
			}
		}},
	}
}

// addressed checks that no other host of the site has the address.
func (l *loader) addressed(s *Site, h *Host, line int) {
	if h.Network.Address == "" || h.State != Active {
		return
	}
	for _, other := range s.Active() {
		if other != h && other.Network.Address == h.Network.Address {
			l.add(h.File, line, "give each its own", "%s has the same address", other.File).Rule = RuleHostAddress
			return
		}
	}
}
