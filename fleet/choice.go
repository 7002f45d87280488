package fleet

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// choice is a site's or a group's choice of a profile.
type choice struct {
	Profile string `json:"p,omitempty"` // empty: none made
	Pin     Pin    `json:"pin,omitzero"`
	Line    int    `json:"l,omitempty"`
}

var (
	commitName = regexp.MustCompile(`^[0-9a-f]{40}$`)
	tagName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+/-]{0,199}$`)
)

const pinTip = "a pin is a signed tag and the commit that it tagged: {name: shop, tag: v1.2.0, commit: <40 hex digits>}"

// choiceField reads a profile's name, or its name with a pin.
func (r reader) choiceField(c *choice, doc string) field {
	bad := false
	pinned := map[string]field{
		"name": {true, "Name of the profile", nameShape, func(n *yaml.Node) { c.Profile = r.name(n, "profile.name") }},
		"tag": {false, "Signed tag that the site runs the profile of", matching(tagName.String()), func(n *yaml.Node) {
			if c.Pin.Tag = r.text(n, "profile.tag"); !validTag(c.Pin.Tag) {
				r.problem(n, pinTip, "%q is not a tag", c.Pin.Tag)
				bad = true
			}
		}},
		"commit": {false, "The commit that the tag names", matching(commitName.String()), func(n *yaml.Node) {
			if c.Pin.Commit = r.text(n, "profile.commit"); !commitName.MatchString(c.Pin.Commit) {
				r.problem(n, pinTip, "%q is not the whole name of a commit", c.Pin.Commit)
				bad = true
			}
		}},
	}
	both := func() schema {
		s := mapping(pinned)()
		s["dependentRequired"] = map[string][]string{"tag": {"commit"}, "commit": {"tag"}}
		return s
	}
	return field{false, doc, either(nameShape, both), func(n *yaml.Node) {
		c.Line = n.Line
		if deref(n).Kind != yaml.MappingNode {
			c.Profile = r.name(n, "profile")
			return
		}
		r.object(n, "profile", pinned)
		if (c.Pin.Tag == "") != (c.Pin.Commit == "") {
			r.problem(n, pinTip, "the pin of profile %s has a tag or a commit, but not both", c.Profile)
			bad = true
		}
		if bad {
			c.Profile = "" // nothing is looked up by such a name
		}
	}}
}

func validTag(name string) bool {
	return tagName.MatchString(name) && !strings.Contains(name, "..") && !strings.Contains(name, "//") &&
		!strings.HasSuffix(name, "/") && !strings.HasSuffix(name, ".lock")
}
