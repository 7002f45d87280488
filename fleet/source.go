package fleet

import (
	"errors"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxSources is how many sources a list may have.
const maxSources = 16

// Source is where the hosts of a site find the commits of the fleet, beside what
// they were installed with. Files are named from the root of the fleet.
type Source struct {
	Git            string        `json:"g,omitempty"` // URL of a repository; this or Mirror
	Mirror         string        `json:"m,omitempty"` // URL of the folder of a static mirror
	Credentials    string        `json:"c,omitempty"` // SOPS document that the hosts can open
	CAFile         string        `json:"a,omitempty"` // PEM: certificates that alone vouch for the server
	KnownHostsFile string        `json:"k,omitempty"` // keys of servers, as ssh(1) keeps them
	Proxy          string        `json:"p,omitempty"` // URL
	AnswerWithin   time.Duration `json:"w,omitempty"` // 0: as the agent has it; likewise what follows
	IdleWithin     time.Duration `json:"i,omitempty"`
	Deadline       time.Duration `json:"d,omitempty"`

	File string `json:"-"` // that declares it
	Line int    `json:"l"`
}

// URL is of the repository or of the mirror.
func (s Source) URL() string { return s.Git + s.Mirror }

// sourceList is spec.sources of a file.
type sourceList struct {
	Line    int      `json:"l"` // 0: the file has none
	Sources []Source `json:"s"`
}

func (r reader) sourcesField(to *sourceList) field {
	shapeOf := r.sourceFields(&Source{})
	doc := "Where hosts find commits, beside what they were installed with; the nearest list counts, all of it"
	return field{false, doc, listOf(mapping(shapeOf)), func(n *yaml.Node) {
		to.Line = n.Line
		known := map[string]bool{}
		r.items(n, "sources", func(n *yaml.Node) {
			s := r.source(n)
			if known[s.URL()] && s.URL() != "" {
				r.problem(n, "keep one of them", "source %s is given twice", s.URL()).Rule = RuleDuplicateField
			}
			known[s.URL()] = true
			to.Sources = append(to.Sources, s)
		})
		if len(to.Sources) > maxSources {
			r.problem(n, "hosts need a few", "more than %d sources", maxSources)
		}
	}}
}

func (r reader) sourceFields(s *Source) map[string]field {
	text := func(to *string, name, doc string, is shape, read func(*yaml.Node, string) string) field {
		return field{false, doc, is, func(n *yaml.Node) { *to = read(n, name) }}
	}
	lasting := func(to *time.Duration, name, doc string) field {
		return field{false, doc, matching(durationPattern), func(n *yaml.Node) { *to = r.duration(n, name) }}
	}
	return map[string]field{
		"git":            text(&s.Git, "git", "URL of a repository: https://, http:// or ssh://user@host/path", matching(`^(https?|ssh)://`), r.address),
		"mirror":         text(&s.Mirror, "mirror", "URL of the folder of a static mirror", matching(`^https?://`), r.address),
		"credentials":    text(&s.Credentials, "credentials", "SOPS file: token, username and password, certificate and key, or privateKey", textShape, r.fleetPath),
		"caFile":         text(&s.CAFile, "caFile", "PEM file of the authorities that alone vouch for the server", textShape, r.fleetPath),
		"knownHostsFile": text(&s.KnownHostsFile, "knownHostsFile", "Keys of the server, as ssh keeps them", textShape, r.fleetPath),
		"proxy":          text(&s.Proxy, "proxy", "URL of an HTTP proxy", matching(`^https?://`), r.address),
		"answerWithin":   lasting(&s.AnswerWithin, "answerWithin", "Time to the first answer"),
		"idleWithin":     lasting(&s.IdleWithin, "idleWithin", "Time between two pieces of what is sent"),
		"deadline":       lasting(&s.Deadline, "deadline", "Time for one poll"),
	}
}

// address reads a URL, which must not hold a secret.
func (r reader) address(n *yaml.Node, what string) string {
	text := r.text(n, what)
	u, err := url.Parse(text)
	switch {
	case text == "":
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" && (u.Scheme != "ssh" || what != "git"):
		r.problem(n, "write it like https://git.example.com/fleet.git", "%s is not a URL that is read", what)
	case u.Scheme == "ssh" && u.User.Username() == "":
		r.problem(n, "write it like ssh://git@git.example.com/fleet.git", "%s lacks the user", what)
	case u.User != nil && (u.Scheme != "ssh" || strings.Contains(u.User.String(), ":")):
		r.problem(n, "put them into a SOPS file, and name that as credentials", "%s holds a user or a password", what)
	default:
		return text
	}
	return ""
}

// fleetPath reads a path from the root of the fleet.
func (r reader) fleetPath(n *yaml.Node, what string) string {
	name := r.text(n, what)
	if name != "" && (!fs.ValidPath(name) || name == ".") {
		r.problem(n, "write it from the root of the fleet, as in bases/sources/git.sops.yaml", "%s %q is not a path in the fleet", what, name)
		return ""
	}
	return name
}

// source reads one source. What it has must make sense together.
func (r reader) source(n *yaml.Node) Source {
	s := Source{Line: n.Line}
	known := len(r.list)
	r.object(n, "a source", r.sourceFields(&s))
	if len(r.list) > known {
		return s
	}
	ssh, secure := strings.HasPrefix(s.Git, "ssh:"), strings.HasPrefix(s.URL(), "https:")
	for _, bad := range []struct {
		is  bool
		why string
	}{
		{(s.Git == "") == (s.Mirror == ""), "a source has either git or mirror, a URL"},
		{ssh && s.KnownHostsFile == "", "ssh:// needs a knownHostsFile"},
		{ssh && s.CAFile+s.Proxy != "", "caFile and proxy are not for ssh://"},
		{!ssh && s.KnownHostsFile != "", "knownHostsFile is for ssh://"},
		{!ssh && !secure && s.Credentials+s.CAFile != "", "credentials and caFile need https://"},
	} {
		if bad.is {
			r.problem(n, "", "%s", bad.why)
			break
		}
	}
	return s
}

// nearest is the list of the site, or else of the nearest group that has one, or
// else of the fleet.
func (l *loader) nearest(from *siteRecord, groups []*group) []Source {
	if from.Sources.Line > 0 {
		return from.Sources.Sources
	}
	for _, g := range slices.Backward(groups) {
		if g.sources.Line > 0 {
			return g.sources.Sources
		}
	}
	return l.fleet.sources.Sources
}

// sourceReaches tells whether all who read a list in the folder dir can reach a
// file: what is in bases/, in the site's own folder, or directly in a folder from
// sites/ down to dir.
func sourceReaches(dir string, isSite bool, name string) bool {
	if isSite && below(name, dir) {
		return !below(name, path.Join(dir, "hosts"))
	}
	in := path.Dir(name)
	return below(name, "bases") || in == dir || below(dir, in)
}

// sources checks the files that a list names.
func (l *loader) sources(file, dir string, isSite bool, list *sourceList) {
	for i := range list.Sources {
		s := &list.Sources[i]
		s.File = file
		l.reached(file, dir, isSite, s.Line, []string{s.Credentials, s.CAFile, s.KnownHostsFile})
	}
}

// reached checks that files which a line names are there, and in reach.
func (l *loader) reached(file, dir string, isSite bool, line int, names []string) {
	for _, name := range names {
		switch {
		case name == "":
		case !sourceReaches(dir, isSite, name):
			l.add(file, line, "move it into bases/, or into the folder of this file", "%s is out of reach", name).Rule = RuleSourceFile
		default:
			info, err := fs.Stat(l.fsys, name)
			if errors.Is(err, fs.ErrNotExist) {
				l.add(file, line, "paths are from the root of the fleet", "there is no file %s", name).Rule = RuleSourceFile
			} else if err != nil || !info.Mode().IsRegular() {
				l.add(file, line, "", "%s is not a file", name).Rule = RuleSourceFile
			}
		}
	}
}

func below(name, dir string) bool { return strings.HasPrefix(name, dir+"/") }
