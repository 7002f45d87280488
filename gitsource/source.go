package gitsource

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Source says where commits come from and how to log in there. Secrets are in
// files that only their owner may read, and are read at each use; or they are in
// memory alone. Zero times mean the defaults.
type Source struct {
	Note   string // public; shown, and tells sources of one URL from each other
	URL    string // https://, http:// or ssh://user@host/path of a Git repository, or of the folder of a static mirror
	Mirror bool   // URL is a static mirror's

	TokenFile       string                     // sent as "Authorization: Bearer"; https only
	Username        string                     // for PasswordFile
	PasswordFile    string                     // sent as "Authorization: Basic"; https only
	CAFile          string                     // PEM: certificates that alone vouch for the server; default the system's
	CertificateFile string                     // PEM: client certificate
	KeyFile         string                     // PEM: its key; for ssh:// the private key to log in with
	KnownHostsFile  string                     // for ssh:// only, and required there: keys of servers, as ssh(1) keeps them
	HostKey         func() (ssh.Signer, error) // for ssh:// without KeyFile: what the host is known by
	Proxy           string                     // URL of an HTTP proxy; default what the environment says

	Files map[string][]byte // what the files hold, by their names; nil: they are on disk

	Answer   time.Duration // to the first answer; default 30 seconds
	Idle     time.Duration // between two pieces of what is sent; default 1 minute
	Deadline time.Duration // for one poll; default 30 minutes
}

func (s Source) withDefaults() Source {
	s.Answer = cmp.Or(s.Answer, 30*time.Second)
	s.Idle = cmp.Or(s.Idle, time.Minute)
	s.Deadline = cmp.Or(s.Deadline, 30*time.Minute)
	return s
}

const sourceTip = "write it like https://git.example.com/fleet.git"

// address parses the URL of a source, which must not hold a secret: URLs end up
// in logs and in lists of processes.
func (s Source) address() (*url.URL, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, &hinted{errors.New("source is not a URL"), sourceTip}
	}
	scheme := strings.ToLower(u.Scheme)
	if (scheme != "http" && scheme != "https" && scheme != "ssh") || u.Host == "" {
		return nil, &hinted{fmt.Errorf("source %s: only https://, http:// and ssh:// are fetched from", u.Redacted()), sourceTip}
	}
	if _, password := u.User.Password(); password || (u.User != nil && scheme != "ssh") {
		return nil, &hinted{fmt.Errorf("source %s: a URL must not hold a user or a password", withoutUser(u)), sourceTip}
	}
	if scheme == "ssh" {
		return u, s.checkSSH(u)
	}
	return u, s.check(scheme == "https")
}

// checkSSH refuses what SSH has no use for, and a server that nothing vouches for.
func (s Source) checkSSH(u *url.URL) error {
	switch {
	case s.Mirror:
		return fmt.Errorf("source %s: a static mirror is read over https:// or http://", s.URL)
	case s.TokenFile+s.Username+s.PasswordFile+s.CertificateFile+s.CAFile+s.Proxy != "":
		return fmt.Errorf("source %s: over ssh:// there is a key file and a file of known hosts, nothing else", s.URL)
	case s.KnownHostsFile == "":
		return &hinted{fmt.Errorf("source %s: ssh:// needs a file of known hosts", s.URL), "name it in the configuration, as knownHostsFile"}
	case s.KeyFile == "" && s.HostKey == nil:
		return fmt.Errorf("source %s: ssh:// needs a key file", s.URL)
	case u.User.Username() == "":
		return &hinted{fmt.Errorf("source %s: ssh:// needs a user", s.URL), "write it like ssh://git@git.example.com/fleet.git"}
	}
	return nil
}

// check refuses settings that make no sense together.
func (s Source) check(secure bool) error {
	secret := s.TokenFile + s.PasswordFile + s.CertificateFile + s.CAFile
	for _, bad := range []struct {
		is  bool
		why string
	}{
		{s.TokenFile != "" && s.PasswordFile != "", "a token and a password are too much"},
		{(s.Username == "") != (s.PasswordFile == ""), "a user and a file of a password go together"},
		{(s.CertificateFile == "") != (s.KeyFile == ""), "a client certificate and a file of its key go together"},
		{s.KnownHostsFile != "", "known hosts are for ssh://"},
		{secret != "" && !secure, "credentials and certificates need https://"},
	} {
		if bad.is {
			return fmt.Errorf("source %s: %s", s.URL, bad.why)
		}
	}
	if s.Proxy == "" {
		return nil
	}
	if u, err := url.Parse(s.Proxy); err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("source %s: the proxy must be a URL like http://proxy.example.com:3128, without a user", s.URL)
	}
	return nil
}

func withoutUser(u *url.URL) string {
	shown := *u
	shown.User = nil
	return shown.String()
}

// name is what the source is called: where it is, without secrets.
func (s Source) name(u *url.URL) string {
	if s.Note == "" {
		return withoutUser(u)
	}
	return withoutUser(u) + " (" + s.Note + ")"
}

// Check tells whether what the source says makes sense together.
func (s Source) Check() error {
	_, err := s.address()
	return err
}

// String says where the source is, and no secret.
func (s Source) String() string { return s.URL + " " + s.Note }

// same tells whether two sources are alike in all, secrets too.
func (s Source) same(other Source) bool {
	if !maps.EqualFunc(s.Files, other.Files, bytes.Equal) {
		return false
	}
	s.Files, s.HostKey, other.Files, other.HostKey = nil, nil, nil, nil
	return reflect.DeepEqual(s, other)
}

// newPollers makes a poller of each source; sources of one name are refused.
func (r *Repository) newPollers(sources []Source) ([]*poller, error) {
	known := make(map[string]bool)
	var list []*poller
	for _, s := range sources {
		u, err := s.address()
		if err != nil {
			return nil, err
		}
		p := &poller{name: s.name(u), source: s, drop: func() error { return nil }}
		if known[p.name] {
			return nil, fmt.Errorf("source %s is named twice", p.name)
		}
		known[p.name] = true
		if err := r.ask(p, u); err != nil {
			return nil, fmt.Errorf("source %s: %w", p.name, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// ask tells a poller what to ask, and how.
func (r *Repository) ask(p *poller, u *url.URL) error {
	s := p.source.withDefaults()
	id := fmt.Sprintf("%.6x", sha256.Sum256([]byte(p.name)))
	if s.Mirror {
		m := newStaticMirror(p.name, u, s, filepath.Join(r.dir, "download-"+id))
		p.increments, p.drop = true, func() error { return m.forget(nil) }
		p.fetch = func(ctx context.Context) error { return r.fetchMirror(ctx, m) }
		return nil
	}
	m, err := newRemote(id, u, s, r.limits)
	if err != nil {
		return err
	}
	m.name = p.name
	p.fetch = func(ctx context.Context) error { return r.fetchRemote(ctx, m) }
	return nil
}
