package fleet

import (
	"crypto/sha256"
	"encoding/binary"
	"path"
	"strings"
)

// Selection chooses sites. The zero one chooses all.
type Selection struct {
	Profile string            // that they run; empty: any
	Groups  []string          // folders or names of them; a site below one of them is chosen
	Labels  map[string]string // all of which they have
	Percent int               // how many of a hundred; 0: all
}

// Of returns the sites that are chosen. A percentage chooses by a digest of the
// site's name: the same sites each time, and those of a lower one among them.
func (s Selection) Of(sites []*Site) []*Site {
	var chosen []*Site
	for _, site := range sites {
		if s.chooses(site) {
			chosen = append(chosen, site)
		}
	}
	return chosen
}

func (s Selection) chooses(site *Site) bool {
	if s.Profile != "" && (site.Profile == nil || site.Profile.Name != s.Profile) {
		return false
	}
	for key, value := range s.Labels {
		if got, has := site.Labels[key]; !has || got != value {
			return false
		}
	}
	if s.Percent > 0 {
		sum := sha256.Sum256([]byte(site.Name))
		if binary.BigEndian.Uint64(sum[:8])%100 >= uint64(s.Percent) {
			return false
		}
	}
	if len(s.Groups) == 0 {
		return true
	}
	for _, group := range s.Groups {
		group = strings.TrimSuffix(group, "/")
		for dir := path.Dir(site.Dir); dir != "." && dir != "sites"; dir = path.Dir(dir) {
			if dir == group || path.Base(dir) == group {
				return true
			}
		}
		if group == "sites" {
			return true
		}
	}
	return false
}
