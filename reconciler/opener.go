package reconciler

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// opener makes sources that can be asked of declared ones. What it opens is in
// memory only.
type opener struct {
	login   ssh.Signer
	secrets secrets.Identity
}

func (o opener) open(fsys fs.FS, declared []fleet.Source) ([]gitsource.Source, error) {
	var list []gitsource.Source
	for _, d := range declared {
		s, err := o.source(fsys, d)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
		}
		if err := s.Check(); err != nil {
			return nil, &fleet.Problem{File: d.File, Line: d.Line, Msg: err.Error(), Tip: credentialsTip}
		}
		list = append(list, s)
	}
	return list, nil
}

// source reads the files that a source names. Its note is a digest of all that is
// declared, of secrets as they are encrypted.
func (o opener) source(fsys fs.FS, d fleet.Source) (gitsource.Source, error) {
	s := gitsource.Source{
		URL: d.URL(), Mirror: d.Mirror != "", Files: map[string][]byte{}, CAFile: d.CAFile, KnownHostsFile: d.KnownHostsFile,
		HostKey: func() (ssh.Signer, error) { return o.login, nil }, Proxy: d.Proxy,
		Answer: d.AnswerWithin, Idle: d.IdleWithin, Deadline: d.Deadline,
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %d %d %d\n", d.Git, d.Mirror, d.Proxy, d.AnswerWithin, d.IdleWithin, d.Deadline)
	for _, name := range []string{d.CAFile, d.KnownHostsFile, d.Credentials} {
		if name == "" {
			fmt.Fprintln(sum)
			continue
		}
		data, err := fleet.ReadFile(fsys, name, fleet.MaxFileSize)
		if err != nil {
			return s, err
		}
		fmt.Fprintf(sum, "%x\n", sha256.Sum256(data))
		if name != d.Credentials {
			s.Files[name] = data
		} else if err := o.credentials(&s, name, data); err != nil {
			return s, err
		}
	}
	s.Note = "declared"
	if d.Credentials != "" {
		s.Note = d.Credentials
	}
	s.Note += fmt.Sprintf(" %.6x", sum.Sum(nil))
	return s, nil
}

// credentials opens a SOPS document of credentials.
func (o opener) credentials(s *gitsource.Source, name string, data []byte) error {
	doc, err := secrets.Parse(name, data)
	if err != nil {
		return err
	}
	plain, err := doc.Open(o.secrets)
	if err != nil {
		return err
	}
	places := map[string]*string{"token": &s.TokenFile, "password": &s.PasswordFile, "certificate": &s.CertificateFile, "key": &s.KeyFile, "privateKey": &s.KeyFile}
	ssh := strings.HasPrefix(s.URL, "ssh:")
	for _, v := range plain.Values() {
		key := strings.Join(v.Path, ".")
		text, isText := v.Data.(string)
		to := places[key]
		switch {
		case !isText || text == "" || to == nil && key != "username" || ssh != (key == "privateKey"):
			return &fleet.Problem{File: name, Msg: fmt.Sprintf("%s is no credential for %s", key, s.URL), Tip: credentialsTip}
		case key == "username":
			s.Username = text
		default:
			*to = name + ":" + key
			s.Files[*to] = []byte(text)
		}
	}
	return nil
}

const credentialsTip = "texts under token, or username and password, or certificate and key; for ssh:// under privateKey"
