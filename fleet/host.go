package fleet

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// HostByIdentity returns the host that has the given public key, in the form
// of authorized_keys; a comment is ignored. Its error is [ErrNoHost] if there is none.
func (f *Fleet) HostByIdentity(authorizedKey string) (*Host, error) {
	key, err := parseIdentity(authorizedKey)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	for _, s := range f.Sites {
		for _, h := range s.Hosts {
			if h.Identity == key {
				return h, nil
			}
		}
	}
	return nil, ErrNoHost
}

const keyType = "ssh-ed25519"

// parseIdentity returns "ssh-ed25519 AAAA…" of a line of authorized_keys. The
// wire format is that of RFC 8709: string "ssh-ed25519", string of 32 bytes.
func parseIdentity(line string) (string, error) {
	parts := strings.Fields(line)
	if len(parts) < 2 || parts[0] != keyType || strings.ContainsAny(line, "\r\n") {
		return "", errors.New("not of the form \"ssh-ed25519 AAAA…\"")
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return "", errors.New("the key is not base64")
	}
	name, rest, ok := wireString(wire)
	key, rest, ok2 := wireString(rest)
	if !ok || !ok2 || string(name) != keyType || len(key) != 32 || len(rest) != 0 {
		return "", errors.New("the key is not an ed25519 public key")
	}
	return keyType + " " + parts[1], nil
}

func wireString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// host adds a host to its site.
func (l *loader) host(s *Site, from hostRecord) {
	h := &Host{Name: from.Name, Site: s, File: path.Join(s.Dir, "hosts", from.Name+".yaml"), Identity: from.Identity, Role: from.Role, State: from.State, Network: from.Network}
	s.Hosts = append(s.Hosts, h)
	l.addressed(s, h, from.AddressAt)
	if first := l.identities[h.Identity]; first != "" {
		l.add(h.File, from.Line, "every machine makes its own key; register it anew", "%s has the same identity", first).Rule = RuleDuplicateIdentity
	} else if h.Identity != "" {
		l.identities[h.Identity] = h.File
	}
}

// Active returns the site's hosts that are not removed, in declared order.
func (s *Site) Active() []*Host {
	return slices.DeleteFunc(slices.Clone(s.Hosts), func(h *Host) bool { return h.State != Active })
}
