package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/knownhosts"
)

// sshLogin opens sessions of git-upload-pack over SSH. It reads no configuration
// of ssh(1) and asks no agent: a host logs in with what its source says.
type sshLogin struct {
	url    *url.URL
	source Source
	pack   int64 // bytes of a pack at most
}

func (l *sshLogin) NewUploadPackSession(*transport.Endpoint, transport.AuthMethod) (transport.UploadPackSession, error) {
	return &sshSession{login: l}, nil
}

func (l *sshLogin) address() string {
	port := l.url.Port()
	if port == "" {
		port = "22"
	}
	return net.JoinHostPort(l.url.Hostname(), port)
}

// config reads the key and the known hosts as they are now.
func (l *sshLogin) config() (*ssh.ClientConfig, error) {
	signer, err := l.signer()
	if err != nil {
		return nil, err
	}
	known, err := l.source.knownHosts()
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	algorithms, err := knownhosts.Algorithms(known, l.address())
	if err != nil {
		return nil, &hinted{fmt.Errorf("%s has no key of %s", l.source.KnownHostsFile, l.address()), "compare what ssh-keyscan says with what the server's owner says, and add it"}
	}
	return &ssh.ClientConfig{
		User: l.url.User.Username(), Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: known, HostKeyAlgorithms: algorithms, Timeout: l.source.Answer,
	}, nil
}

func (l *sshLogin) signer() (ssh.Signer, error) {
	if l.source.KeyFile == "" {
		return l.source.HostKey()
	}
	data, err := l.source.secret(l.source.KeyFile)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.source.KeyFile, err)
	}
	return signer, nil
}

// knownHosts reads the file of known hosts.
func (s Source) knownHosts() (ssh.HostKeyCallback, error) {
	data, err := s.inMemory(s.KnownHostsFile)
	if s.Files == nil {
		data, err = os.ReadFile(s.KnownHostsFile)
	}
	if err != nil {
		return nil, err
	}
	return knownhosts.Parse(data)
}

// sshSession is one run of git-upload-pack on a server, see gitprotocol-pack(5).
type sshSession struct {
	login  *sshLogin
	client *ssh.Client
	run    *ssh.Session
	in     io.WriteCloser
	out    *boundedBody
	stderr shortText
	refs   *packp.AdvRefs
	asked  bool // for a pack
}

// AdvertisedReferences is part of the interface of transports.
func (s *sshSession) AdvertisedReferences() (*packp.AdvRefs, error) {
	return s.AdvertisedReferencesContext(context.Background())
}

// AdvertisedReferencesContext connects, and reads the list of branches.
func (s *sshSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	if s.refs != nil {
		return s.refs, nil
	}
	if err := s.connect(ctx); err != nil {
		s.Close()
		return nil, errors.Join(ctx.Err(), err)
	}
	defer context.AfterFunc(ctx, func() { s.client.Close() })()
	refs := packp.NewAdvRefs()
	err := refs.Decode(s.out)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && refs.IsEmpty():
		err = transport.ErrEmptyRemoteRepository
	case err != nil:
		_ = s.run.Wait() // then all that it says has come
		if said := s.stderr.String(); said != "" {
			err = errors.New(clip(said))
		}
	}
	if err != nil {
		s.Close()
		return nil, errors.Join(ctx.Err(), err)
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	s.refs = refs
	return refs, nil
}

func (s *sshSession) connect(ctx context.Context) error {
	config, err := s.login.config()
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: s.login.source.Answer}).DialContext(ctx, "tcp", s.login.address())
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, channels, requests, err := ssh.NewClientConn(conn, s.login.address(), config)
	if err != nil {
		conn.Close()
		return err
	}
	s.client = ssh.NewClient(c, channels, requests)
	if s.run, err = s.client.NewSession(); err != nil {
		return err
	}
	if s.in, err = s.run.StdinPipe(); err != nil {
		return err
	}
	out, err := s.run.StdoutPipe()
	if err != nil {
		return err
	}
	s.out = &boundedBody{io.NopCloser(out), maxAdvertised}
	s.run.Stderr = &s.stderr
	return s.run.Start("git-upload-pack " + quoted(s.login.url.Path))
}

// quoted is a path as a shell reads it; /~user is a home folder, as for git.
func quoted(path string) string {
	if strings.HasPrefix(path, "/~") {
		path = path[1:]
	}
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// UploadPack asks for a pack. The connection ends with ctx.
func (s *sshSession) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	s.asked = true
	s.out.left = s.login.pack + s.login.pack/64 + 1<<20 // side bands add their own headers
	context.AfterFunc(ctx, func() { s.client.Close() })
	if err := req.UploadRequest.Encode(s.in); err != nil {
		return nil, err
	}
	if err := req.UploadHaves.Encode(s.in, true); err != nil {
		return nil, err
	}
	if err := pktline.NewEncoder(s.in).Encodef("done\n"); err != nil {
		return nil, err
	}
	if err := s.in.Close(); err != nil {
		return nil, err
	}
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(s.out); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return res, nil
}

// Close ends the connection; a server that was only asked for its branches is
// told that nothing more is wanted.
func (s *sshSession) Close() error {
	if s.client == nil {
		return nil
	}
	if s.in != nil && !s.asked {
		_ = pktline.NewEncoder(s.in).Flush() // it may be gone already
	}
	return s.client.Close()
}

// shortText keeps the beginning of what a server says.
type shortText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shortText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := 1024 - s.text.Len(); room > 0 {
		s.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (s *shortText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(s.text.String())
}
