package review

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// login is a SOPS document with credentials, and where it is named.
type login struct {
	document string
	at       fleet.Position
}

// loginsOf are the credentials of a site's sources, and of the targets of its backups.
func loginsOf(site *fleet.Site) []login {
	var list []login
	for _, s := range site.Sources {
		list = append(list, login{s.Credentials, fleet.Position{File: s.File, Line: s.Line}})
	}
	for _, t := range site.Backup.To {
		list = append(list, login{t.Credentials, fleet.Position{File: site.Backup.File, Line: t.Line}})
	}
	return slices.DeleteFunc(list, func(l login) bool { return l.document == "" })
}

// sources checks that the hosts can open the credentials of their sources, and of
// the targets of their backups, and that these have recipients.
func (l *linter) sources() error {
	var logins []login
	users := map[login][]*fleet.Host{}
	keys := map[fleet.Position]bool{}
	for _, site := range l.fleet.Sites {
		for _, one := range loginsOf(site) {
			if users[one] == nil {
				logins = append(logins, one)
			}
			users[one] = append(users[one], site.Active()...)
		}
		if at := (fleet.Position{File: site.Backup.File, Line: site.Backup.Line}); site.Backup.On() && !keys[at] {
			keys[at] = true
			if err := secrets.CheckRecipients(site.Backup.Recipients); err != nil {
				l.report(fleet.Problem{File: at.File, Line: at.Line, Rule: fleet.RuleBadValue, Msg: "backup: " + err.Error(), Tip: "copy the public key that age-keygen printed, whole"})
			}
		}
	}
	var errs []error
	for _, one := range logins {
		errs = append(errs, l.credentials(one, users[one]))
	}
	return errors.Join(errs...)
}

func (l *linter) credentials(one login, users []*fleet.Host) error {
	p := fleet.Problem{File: one.at.File, Line: one.at.Line, Rule: fleet.RuleSourceCredentials}
	data, err := fleet.ReadFile(l.state.FS, one.document, fleet.MaxFileSize)
	if err != nil {
		return errors.Join(l.found.add(err)...)
	}
	doc, err := secrets.Parse(one.document, data)
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
		p.Msg, p.Tip = fmt.Sprintf("%s cannot open %s", someOf(cannot), one.document), rotateTip(one.document)
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

// unusedSecrets finds documents that no layer, no source and no backup uses. In which folders
// of sites there are none at all is remembered.
func (l *linter) unusedSecrets() error {
	used, own := map[string]bool{}, map[string]bool{}
	for at := range l.needs.of {
		used[at.file] = true
	}
	for _, site := range l.fleet.Sites {
		own[site.Dir] = true
		for _, one := range loginsOf(site) {
			used[one.document] = true
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
			l.report(fleet.Problem{File: file, Rule: fleet.RuleUnusedSecret, Msg: "no layer, no source and no backup uses this secret", Tip: "delete it, or put it to use in a kustomization"})
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
