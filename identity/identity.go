// Package identity keeps the key that a machine is known by.
//
// The key is an ed25519 key pair in the formats of OpenSSH, so that ssh-keygen
// can show it and Git can use it: host_key is the private key (PROTOCOL.key),
// readable by its owner alone, host_key.pub the public one (authorized_keys).
package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/durable"
)

const (
	keyFile    = "host_key"
	maxKeyFile = 64 << 10 // bytes
	maxKeyText = 1 << 10  // characters of a public key
)

// Identity is the key of one machine.
type Identity struct {
	public  ssh.PublicKey
	private *ed25519.PrivateKey
	signer  ssh.Signer
}

// Load reads the machine's key from dir, and makes one the first time. A key
// file that others may read, or that is no ed25519 key, is an error.
func Load(dir string) (*Identity, error) {
	id, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("load the key of this host from %s: %w", dir, err)
	}
	return id, nil
}

func load(dir string) (*Identity, error) {
	path := filepath.Join(dir, keyFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(dir, path); err != nil {
			return nil, err
		}
	}
	private, err := readKey(path)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	id := &Identity{public: signer.PublicKey(), private: private, signer: signer}
	public := []byte(id.PublicKey() + "\n")
	if old, err := os.ReadFile(path + ".pub"); err == nil && bytes.Equal(old, public) {
		return id, nil
	}
	return id, durable.WriteFile(path+".pub", public, 0o644)
}

// create makes a key under a name of its own and links it to path once it is
// on disk. If another process was first, its key stays.
func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "."+keyFile+".tmp-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := pem.Encode(tmp, block); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.SyncDir(dir)
}

func readKey(path string) (*ed25519.PrivateKey, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, &openKeyError{path: path, perm: perm}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("%s is over the limit of %d bytes for a key", path, maxKeyFile)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	return key, nil
}

func parseKey(data []byte) (*ed25519.PrivateKey, error) {
	key, err := ssh.ParseRawPrivateKey(data)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("is a %T, not an ed25519 key", key)
	}
	return private, nil
}

// openKeyError reports a private key that others than its owner can reach.
type openKeyError struct {
	path string
	perm fs.FileMode
}

func (e *openKeyError) Error() string {
	return fmt.Sprintf("%s has permissions %04o, so others can reach the private key", e.path, e.perm)
}

// Hint says what to do about it.
func (e *openKeyError) Hint() string {
	return fmt.Sprintf("if nobody else has read it, run chmod 600 %s; otherwise remove it and register the new key", e.path)
}

// PublicKey returns the public key as in authorized_keys, without a comment.
func (id *Identity) PublicKey() string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(id.public)), "\n")
}

// Signer signs with the machine's key, such as to log in over SSH.
func (id *Identity) Signer() ssh.Signer { return id.signer }

// PrivateKey opens what is encrypted to the machine.
func (id *Identity) PrivateKey() ed25519.PrivateKey { return *id.private }

// Fingerprint returns the key's fingerprint as "ssh-keygen -l" prints it: SHA256:….
func (id *Identity) Fingerprint() string {
	return ssh.FingerprintSHA256(id.public)
}

// ParsePublicKey reads a host's public key, as in authorized_keys, and returns
// it without options and comment, with its fingerprint. Only ed25519 keys are hosts' keys.
func ParsePublicKey(text string) (key, fingerprint string, err error) {
	text = strings.TrimSpace(text)
	if len(text) > maxKeyText {
		return "", "", fmt.Errorf("public key is over the limit of %d characters", maxKeyText)
	}
	if strings.ContainsAny(text, "\r\n") {
		return "", "", errors.New("public key is more than one line")
	}
	public, _, options, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return "", "", fmt.Errorf("%q is no public key as in host_key.pub", text)
	}
	if public.Type() != ssh.KeyAlgoED25519 || len(options) > 0 {
		return "", "", fmt.Errorf("public key is of type %s, not a plain %s", public.Type(), ssh.KeyAlgoED25519)
	}
	id := &Identity{public: public}
	return id.PublicKey(), id.Fingerprint(), nil
}
