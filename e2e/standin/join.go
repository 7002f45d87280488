package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// token is what the configuration has, as https://docs.k3s.io/cli/token says: a secret of
// one's own, or the secure format, which says whose secret it is, and of which authority.
type token struct{ authority, user, secret string }

func (l like) readToken(file string) (token, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return token{}, err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return token{}, fmt.Errorf("%s: %s: the token is empty", l.name, file)
	}
	if !strings.HasPrefix(text, "K10") {
		return token{secret: text}, nil
	}
	var t token
	var credentials string
	t.authority, credentials, _ = strings.Cut(text, "::")
	t.user, t.secret, _ = strings.Cut(credentials, ":")
	return t, nil
}

// authorities are what servers share, by the names that the embedded cluster has for them: what else there is follows from them.
var authorities = []string{"ca.pem", "etcd-ca.pem", "front-proxy-ca.pem", "sa.pem"}

// membership is what a server is answered that joins others.
type membership struct {
	Keys    map[string][]byte // the authorities, by name
	Cluster string            // what its etcd is to start with
}

// member is what a server's etcd is: part of that of another server, if the configuration
// has one, and the first otherwise. Once it has data it is what it was:
// https://docs.k3s.io/datastore/ha-embedded
func (l like) member(ctx context.Context, s documented.Settings) (*embedded.Member, error) {
	if hasData(l.data("standin")) {
		return &embedded.Member{}, readable(l.data("server/tls"))
	}
	t, err := l.readToken(s.First("token-file"))
	if err != nil {
		return nil, err
	}
	if s.First("server") == "" {
		if t.authority != "" {
			return nil, fmt.Errorf("%s: the first server takes a short token", l.name)
		}
		return &embedded.Member{}, nil
	}
	data, err := insist(ctx, func() ([]byte, error) { return l.apply(ctx, s, "server", "/v1-standin/join-server") })
	if err != nil {
		return nil, err
	}
	return joined(data, l.data("server/tls"), writeTLS)
}

// joined is the member that a server becomes by what it was answered, once the keys in that are kept in dir.
func joined(answer []byte, dir string, keep func(dir string, keys map[string][]byte) error) (*embedded.Member, error) {
	var in membership
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, err
	}
	return &embedded.Member{Cluster: in.Cluster}, keep(dir, in.Keys)
}

// writeTLS does not wait for the disk, as the programs do not.
func writeTLS(dir string, keys map[string][]byte) error {
	for name, data := range keys {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readable refuses what a power cut left of the authorities. The embedded cluster would make others.
func readable(dir string) error {
	for _, name := range authorities {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && len(data) == 0 {
			err = fmt.Errorf("%s/%s is empty", dir, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hasData tells whether the etcd of an embedded node is in a cluster.
func hasData(dir string) bool {
	_, err := os.Stat(filepath.Join(etcdData(dir), "member", "wal"))
	return err == nil
}

// insist asks until it is answered, and says what it waits for.
func insist(ctx context.Context, ask func() ([]byte, error)) ([]byte, error) {
	for {
		data, err := ask()
		if err == nil {
			return data, nil
		}
		fmt.Fprintln(os.Stderr, "waiting to join:", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// apply asks the server once: the authority that it shows must be the token's.
func (l like) apply(ctx context.Context, s documented.Settings, user, path string) ([]byte, error) {
	t, err := l.readToken(s.First("token-file"))
	if err != nil {
		return nil, err
	}
	if t.user != user {
		return nil, fmt.Errorf("%s: not the token of a %s in the secure format", l.name, user)
	}
	server := s.First("server")
	stranger := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its answer is held against the token
	authority, err := fetch(ctx, stranger, server+"/cacerts", nil, nil)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if hashOf(authority) != t.authority || !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s: the server's authority is not that of the token", l.name)
	}
	password, err := nodePassword()
	if err != nil {
		return nil, err
	}
	who := application{Name: s.First("node-name"), Password: password, Address: s.First("node-ip")}
	return ask(ctx, server+path, pool, who, func(r *http.Request) { r.SetBasicAuth(t.user, t.secret) })
}

// ask sends an application to where a server of the authority takes it.
func ask(ctx context.Context, url string, authority *x509.CertPool, who application, with func(*http.Request)) ([]byte, error) {
	body, err := json.Marshal(who)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS13}}}
	return fetch(ctx, client, url, body, with)
}

func fetch(ctx context.Context, client *http.Client, url string, body []byte, with func(*http.Request)) ([]byte, error) {
	defer client.CloseIdleConnections()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if with != nil {
		with(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, data)
	}
	return data, err
}

// nodePassword is what the servers know this node by, from when it first joined.
func nodePassword() (string, error) {
	const file = "/etc/rancher/node/password"
	data, err := os.ReadFile(file)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return string(data), err
	}
	password := rand.Text()
	return password, errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), durable.WriteFile(file, []byte(password), 0o600))
}
