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

// digester is a file system that knows the digest of what is in a folder.
type digester interface {
	Digest(name string) (string, error)
}

// secrets notes documents that hosts cannot open, though the layers of their site hold them.
func (l *linter) secrets() {
	for _, s := range l.needs.list() {
		if len(s.Cannot) == 0 {
			continue
		}
		p := fleet.Problem{File: s.File, Rule: fleet.RuleUnreadableSecret, Msg: s.Text(), Tip: s.Tip()}
		if s.Pin != "" { // the tree may have another one
			p.Msg = fmt.Sprintf("as of %s: %s", s.Pin, p.Msg)
		}
		l.report(p)
	}
}

// unusedSecrets finds documents that no layer and no source uses. In which folders
// of sites there are none at all is remembered.
func (l *linter) unusedSecrets() error {
	used, own := map[string]bool{}, map[string]bool{}
	for at := range l.needs.of {
		used[at.file] = true
	}
	for _, site := range l.fleet.Sites {
		own[site.Dir] = true
		for _, s := range site.Sources {
			used[s.Credentials] = true
		}
	}
	with, without := map[string]bool{}, map[string]string{}
	skip := func(dir string) bool {
		if strings.Count(dir, "/") > fleet.MaxFolders {
			return true // which loading refuses
		}
		tree, known := l.state.FS.(digester)
		if !own[dir] || l.options.Memo == nil || !known {
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
	err := secrets.Find(l.state.FS, ".", skip, func(file string, _ []byte) {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			with[dir] = true
		}
		if !used[file] {
			l.report(fleet.Problem{File: file, Rule: fleet.RuleUnusedSecret, Msg: "no layer and no source uses this secret", Tip: "delete it, or put it to use in a kustomization"})
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
