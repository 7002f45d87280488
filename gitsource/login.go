package gitsource

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const maxCredential = 64 << 10 // bytes of a file

// login is how a source is reached over HTTP. Its files are read again when they
// change, so that a renewed certificate or token needs no restart.
type login struct {
	origin *url.URL // what credentials are for
	source Source

	mu    sync.Mutex
	stamp string // of the files that http was made with
	http  *http.Client
}

func newLogin(u *url.URL, source Source) *login { return &login{origin: u, source: source} }

// client returns the client for the files as they are now.
func (l *login) client() (*http.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var stamp strings.Builder
	for _, path := range []string{l.source.CAFile, l.source.CertificateFile, l.source.KeyFile} {
		if path == "" || l.source.Files != nil {
			continue
		}
		key, err := targetKey(path)
		if err != nil {
			return nil, err
		}
		stamp.WriteString(key + "\n")
	}
	if l.http != nil && l.stamp == stamp.String() {
		return l.http, nil
	}
	transport, err := l.transport()
	if err != nil {
		return nil, err
	}
	if l.http != nil {
		l.http.CloseIdleConnections()
	}
	l.stamp, l.http = stamp.String(), &http.Client{Transport: &authorized{l, transport}, CheckRedirect: onlySecurer}
	return l.http, nil
}

func (l *login) transport() (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.source.CAFile != "" {
		data, err := l.source.file(l.source.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", l.source.CAFile)
		}
	}
	if l.source.CertificateFile != "" {
		certificate, err := l.source.file(l.source.CertificateFile)
		if err != nil {
			return nil, err
		}
		key, err := l.source.secret(l.source.KeyFile)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", l.source.CertificateFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	proxy := http.ProxyFromEnvironment
	if l.source.Proxy != "" {
		u, err := url.Parse(l.source.Proxy)
		if err != nil {
			return nil, errors.New("proxy is not a URL")
		}
		proxy = http.ProxyURL(u)
	}
	return &http.Transport{
		Proxy: proxy, TLSClientConfig: config, ForceAttemptHTTP2: true,
		DialContext:         (&net.Dialer{Timeout: l.source.Answer, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: l.source.Answer,
		MaxIdleConns:        2, IdleConnTimeout: 2 * time.Minute,
	}, nil
}

// authorized adds credentials to requests to the source itself, never to where it
// redirects to.
type authorized struct {
	login *login
	next  http.RoundTripper
}

func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	s, origin := a.login.source, a.login.origin
	if (s.TokenFile != "" || s.PasswordFile != "") && req.URL.Scheme == origin.Scheme && req.URL.Host == origin.Host {
		req = req.Clone(req.Context())
		if s.TokenFile != "" {
			token, err := s.secret(s.TokenFile)
			if err != nil {
				return nil, err
			}
			req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		} else {
			password, err := s.secret(s.PasswordFile)
			if err != nil {
				return nil, err
			}
			req.SetBasicAuth(s.Username, strings.TrimRight(string(password), "\r\n"))
		}
	}
	return a.next.RoundTrip(req)
}

// CloseIdleConnections is called by the client that is replaced.
func (a *authorized) CloseIdleConnections() {
	if c, ok := a.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// onlySecurer follows a redirect only if it does not leave TLS or HTTP.
func onlySecurer(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= 5:
		return errors.New("redirected more than 5 times")
	case req.URL.Scheme != "https" && (req.URL.Scheme != "http" || via[0].URL.Scheme == "https"):
		return fmt.Errorf("redirected to an unsupported %s URL", clip(req.URL.Scheme))
	}
	return nil
}

// file is what a file holds that is no secret.
func (s Source) file(name string) ([]byte, error) {
	if s.Files == nil {
		return readLimited(name)
	}
	return s.inMemory(name)
}

// secret is what a file holds that only its owner can read.
func (s Source) secret(name string) ([]byte, error) {
	if s.Files == nil {
		return readSecret(name)
	}
	return s.inMemory(name)
}

func (s Source) inMemory(name string) ([]byte, error) {
	data, ok := s.Files[name]
	if !ok || len(data) > maxCredential {
		return nil, fmt.Errorf("%s is missing, or larger than %d bytes", name, maxCredential)
	}
	return data, nil
}

// readSecret reads a file that only its owner can read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, &hinted{fmt.Errorf("%s has permissions %04o, so others can read the secret", path, perm), "run chmod 600 " + path}
	}
	return readLimited(path)
}

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", path))
	}
	data, err := io.ReadAll(io.LimitReader(file, maxCredential+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxCredential {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxCredential)
	}
	return data, nil
}

// targetKey tells whether a file, or what a link points to, changed.
func targetKey(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano()), nil
}
