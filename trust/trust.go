// Package trust decides whether the keys of a fleet vouch for a commit.
//
// It is pure: bytes go in, a [Signer] or an error comes out. There is no clock,
// no network, no key server and no web of trust: a key vouches because its file
// lies in the fleet's trust folder, and for nothing but what the policy there
// lets its owner change.
package trust

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Why a signature or a change is refused. Errors of this package wrap exactly one of them.
var (
	ErrUnsigned      = errors.New("not signed")
	ErrUnknownSigner = errors.New("unknown signer")
	ErrExpired       = errors.New("key or signature not valid at that time")
	ErrRevoked       = errors.New("key revoked")
	ErrWeak          = errors.New("weak key or signature")
	ErrBadSignature  = errors.New("bad signature")
	ErrForbiddenPath = errors.New("forbidden path")
	ErrTooFew        = errors.New("more approvals are needed")
)

const (
	maxKeyFile   = 1 << 20 // bytes of one file of keys
	maxKeys      = 10_000  // of one keyring
	maxSignature = 64 << 10
	minRSABits   = 2048

	trustFolder = "trust/" // of a fleet
)

// Kind is the sort of signature that a key makes.
type Kind string

// The kinds.
const (
	OpenPGP Kind = "openpgp"
	SSH     Kind = "ssh"
)

// Signer says who vouched, and with which key.
type Signer struct {
	Name string `json:"name"` // e-mail address of the OpenPGP user ID, or first principal of the SSH key
	Key  string `json:"key"`  // fingerprint: upper-case hex for OpenPGP, "SHA256:…" for SSH
	Kind Kind   `json:"kind"`
	// Recovery marks a key that is no part of the fleet: it vouches for what is in
	// the folder trust whatever the policy says, and for nothing else.
	Recovery bool `json:"recovery,omitempty"`
}

func (s Signer) String() string { return s.Name + " (" + s.Key + ")" }

// Keyring holds the keys that may vouch. It is safe for concurrent use.
type Keyring struct {
	pgp []pgpKey
	ssh []sshKey
}

// ParseKeyring reads files of public keys, by name: names that end in .asc are
// armored OpenPGP keys, all others are allowed_signers files of ssh-keygen(1).
// Errors are *[Problem]s. A keyring without any key is no error; see [Keyring.Len].
func ParseKeyring(files map[string][]byte) (*Keyring, error) {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	k := new(Keyring)
	for _, name := range names {
		if len(files[name]) > maxKeyFile {
			return nil, &Problem{File: name, Msg: fmt.Sprintf("file of keys is larger than %d bytes", maxKeyFile)}
		}
		var err error
		if strings.HasSuffix(name, ".asc") {
			err = k.addOpenPGP(name, files[name])
		} else {
			err = k.addAllowedSigners(name, files[name])
		}
		if err != nil {
			return nil, err
		}
		if k.Len() > maxKeys {
			return nil, &Problem{File: name, Msg: fmt.Sprintf("more than %d keys", maxKeys)}
		}
	}
	return k, nil
}

// Len is the number of keys.
func (k *Keyring) Len() int { return len(k.pgp) + len(k.ssh) }

// Names lists the names that signers of this keyring can have, sorted.
func (k *Keyring) Names() []string {
	var names []string
	for _, key := range k.pgp {
		names = append(names, key.name)
	}
	for _, key := range k.ssh {
		names = append(names, key.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// usable lists the keys that could sign at the given time or later.
func (k *Keyring) usable(at time.Time) []Signer {
	var signers []Signer
	for _, key := range k.pgp {
		if key.usable(at) {
			signers = append(signers, Signer{Name: key.name, Key: fingerprint(key.entity), Kind: OpenPGP})
		}
	}
	for _, key := range k.ssh {
		if key.usable(at) {
			signers = append(signers, Signer{Name: key.name, Key: ssh.FingerprintSHA256(key.key), Kind: SSH})
		}
	}
	return signers
}

const (
	sshPrefix = "-----BEGIN SSH SIGNATURE-----"
	pgpPrefix = "-----BEGIN PGP SIGNATURE-----"
)

// Verify checks that a key of the ring made signature over payload and was
// valid at the given time. A signature that says it was made later than that is
// judged at its own time, so a back-dated payload gains nothing; a revoked key
// vouches for nothing, whatever the time.
func (k *Keyring) Verify(payload, signature []byte, at time.Time) (Signer, error) {
	switch {
	case len(signature) == 0:
		return Signer{}, ErrUnsigned
	case len(signature) > maxSignature:
		return Signer{}, fmt.Errorf("%w: larger than %d bytes", ErrBadSignature, maxSignature)
	case bytes.HasPrefix(signature, []byte(sshPrefix)):
		return k.verifySSH(payload, signature, at)
	case bytes.HasPrefix(signature, []byte(pgpPrefix)):
		return k.verifyOpenPGP(payload, signature, at)
	}
	return Signer{}, fmt.Errorf("%w: neither an OpenPGP nor an SSH signature", ErrBadSignature)
}
