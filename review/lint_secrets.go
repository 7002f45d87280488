package review

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// sources checks that the hosts can open the credentials of their sources.
func (l *linter) sources() error {
	var sources []fleet.Source
	users := map[fleet.Source][]*fleet.Host{}
	for _, site := range l.fleet.Sites {
		for _, s := range site.Sources {
			if s.Credentials == "" {
				continue
			}
			if users[s] == nil {
				sources = append(sources, s)
			}
			users[s] = append(users[s], site.Active()...)
		}
	}
	var errs []error
	for _, s := range sources {
		errs = append(errs, l.credentials(s, users[s]))
	}
	return errors.Join(errs...)
}

func (l *linter) credentials(s fleet.Source, users []*fleet.Host) error {
	p := fleet.Problem{File: s.File, Line: s.Line, Rule: fleet.RuleSourceCredentials}
	data, err := fleet.ReadFile(l.state.FS, s.Credentials, fleet.MaxFileSize)
	if err != nil {
		return errors.Join(l.found.add(err)...)
	}
	doc, err := secrets.Parse(s.Credentials, data)
	if err != nil {
		p.Msg, p.Tip = "credentials: "+err.Error(), hintOf(err)
		l.report(p)
		return nil
	}
	can := map[string]bool{}
	for _, r := range doc.Recipients() {
		can[r] = true
	}
	var cannot []string
	for _, h := range users {
		if !can[h.Identity] {
			cannot = append(cannot, h.Name)
		}
	}
	if len(cannot) > 0 {
		p.Msg, p.Tip = fmt.Sprintf("%s cannot open %s", someOf(cannot), s.Credentials), rotateTip(s.Credentials)
		l.report(p)
	}
	return nil
}

// someOf names hosts, as far as they fit in a line.
func someOf(hosts []string) string {
	who := strings.Join(hosts[:min(5, len(hosts))], ", ")
	if more := len(hosts) - 5; more > 0 {
		who += fmt.Sprintf(" and %d more hosts", more)
	}
	return who
}

func rotateTip(file string) string {
	return "add the identity of their host files to .sops.yaml, then: holdfast secrets rotate " + file
}

// digester is a file system that knows the digest of what is in a folder.
type digester interface {
	Digest(name string) (string, error)
}

// secrets finds documents that hosts cannot open, though they are within their
// reach. In which folders of sites there are none is remembered.
func (l *linter) secrets() error {
	in, with, without := newReach(l.fleet.Sites), map[string]bool{}, map[string]string{}
	skip := func(dir string) bool {
		if strings.Count(dir, "/") > fleet.MaxFolders {
			return true // which loading refuses
		}
		tree, known := l.state.FS.(digester)
		if in.byDir[dir] == nil || l.options.Memo == nil || !known {
			return false
		}
		digest, err := tree.Digest(dir)
		if err != nil {
			return false
		}
		name := "no secrets " + digest
		_, none := l.options.Memo.Get(name)
		without[dir] = name
		return none
	}
	credentials := map[string]bool{}
	for _, site := range l.fleet.Sites {
		for _, s := range site.Sources {
			credentials[s.Credentials] = true
		}
	}
	err := secrets.Find(l.state.FS, ".", skip, func(file string, data []byte) {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			with[dir] = true
		}
		if !credentials[file] {
			l.secret(in.secret(file, data))
		}
	})
	if err != nil {
		return err
	}
	for dir, name := range without {
		if !with[dir] {
			l.options.Memo.Put(name, []byte{1})
		}
	}
	return nil
}

func (l *linter) secret(s Secret) {
	p := fleet.Problem{File: s.File, Rule: fleet.RuleUnreadableSecret}
	switch {
	case s.Problem != nil:
		p.Msg, p.Tip = strings.TrimPrefix(s.Problem.Error(), s.File+": "), hintOf(s.Problem)
	case len(s.Cannot) > 0:
		p.Msg, p.Tip = someOf(s.Cannot)+" cannot open it", rotateTip(s.File)
	default:
		return
	}
	l.report(p)
}
