package kubeadm

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// parseRoutes reads /proc/net/route, see route(5) of proc: networks → gateways.
// Its numbers are addresses as this machine has them in memory.
func parseRoutes(table string) map[string]string {
	routes := map[string]string{}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		network, ok := kernelAddress(fields[1])
		via, ok2 := kernelAddress(fields[2])
		mask, err := strconv.ParseUint(fields[7], 16, 32)
		if ok && ok2 && err == nil {
			routes[netip.PrefixFrom(network, bits.OnesCount64(mask)).String()] = via.String()
		}
	}
	return routes
}

func kernelAddress(text string) (netip.Addr, bool) {
	number, err := strconv.ParseUint(text, 16, 32)
	var raw [4]byte
	binary.NativeEndian.PutUint32(raw[:], uint32(number))
	return netip.AddrFrom4(raw), err == nil
}
