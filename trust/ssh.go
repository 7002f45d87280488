package trust

import (
	"bytes"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// namespace is what git asks ssh-keygen to sign in.
const namespace = "git"

type sshKey struct {
	key           ssh.PublicKey
	name          string   // first principal that is no pattern
	namespaces    []string // patterns; nil allows all
	after, before time.Time
}

func (k *Keyring) verifySSH(payload, signature []byte, at time.Time) (Signer, error) {
	if err := strongSSHSignature(signature); err != nil {
		return Signer{}, err
	}
	sig, err := sshsig.Unarmor(signature)
	if err != nil {
		return Signer{}, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	print := ssh.FingerprintSHA256(sig.PublicKey)
	cause := fmt.Errorf("%w: no SSH key %s", ErrUnknownSigner, print)
	for _, key := range k.ssh {
		if !bytes.Equal(key.key.Marshal(), sig.PublicKey.Marshal()) {
			continue
		}
		if err := key.verify(payload, sig, at); err != nil {
			cause = fmt.Errorf("SSH key %s of %s: %w", print, key.name, err)
			continue
		}
		return Signer{Name: key.name, Key: print, Kind: SSH}, nil
	}
	return Signer{}, cause
}

func (k sshKey) verify(payload []byte, sig *sshsig.Signature, at time.Time) error {
	if err := strongSSHKey(k.key); err != nil {
		return err
	}
	if err := sshsig.Verify(bytes.NewReader(payload), sig, k.key, sig.HashAlgorithm, namespace); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	switch {
	case k.namespaces != nil && !matchList(k.namespaces, namespace):
		return fmt.Errorf("%w: the key may not sign in the namespace %q", ErrUnknownSigner, namespace)
	case !k.after.IsZero() && at.Before(k.after):
		return fmt.Errorf("%w: %s is before valid-after %s", ErrExpired, at.UTC().Format(time.RFC3339), k.after.Format(time.RFC3339))
	case !k.before.IsZero() && !at.Before(k.before):
		return fmt.Errorf("%w: %s is not before valid-before %s", ErrExpired, at.UTC().Format(time.RFC3339), k.before.Format(time.RFC3339))
	}
	return nil
}

func (k sshKey) usable(at time.Time) bool {
	return strongSSHKey(k.key) == nil && (k.namespaces == nil || matchList(k.namespaces, namespace)) &&
		(k.before.IsZero() || at.Before(k.before))
}

// strongSSHSignature looks at the algorithms alone, before sshsig does, which
// has no error of its own for them. The format is PROTOCOL.sshsig of OpenSSH.
func strongSSHSignature(armored []byte) error {
	block, _ := pem.Decode(armored)
	if block == nil {
		return fmt.Errorf("%w: damaged armor", ErrBadSignature)
	}
	var blob struct {
		Magic                                                [6]byte
		Version                                              uint32
		PublicKey, Namespace, Reserved, HashAlgorithm, Inner string
	}
	if err := ssh.Unmarshal(block.Bytes, &blob); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	var inner struct {
		Format string
		Rest   []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal([]byte(blob.Inner), &inner); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	switch {
	case inner.Format == ssh.KeyAlgoRSA:
		return fmt.Errorf("%w: ssh-rsa signature, which is over SHA-1", ErrWeak)
	case blob.HashAlgorithm != string(sshsig.HashSHA256) && blob.HashAlgorithm != string(sshsig.HashSHA512):
		return fmt.Errorf("%w: hash %q", ErrWeak, blob.HashAlgorithm)
	}
	return nil
}

func strongSSHKey(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		public, ok := key.(ssh.CryptoPublicKey)
		if !ok {
			return errors.New("RSA key without a modulus")
		}
		n, ok := public.CryptoPublicKey().(*rsa.PublicKey)
		if !ok || n.N.BitLen() < minRSABits {
			return fmt.Errorf("%w: RSA key of fewer than %d bits", ErrWeak, minRSABits)
		}
		return nil
	}
	return fmt.Errorf("%w: key of type %s", ErrWeak, key.Type())
}

// matchList tells whether s matches a pattern list of ssh_config(5): one of its
// patterns, and none that begins with "!".
func matchList(patterns []string, s string) bool {
	matched := false
	for _, p := range patterns {
		if negated, ok := strings.CutPrefix(p, "!"); ok {
			if matchPattern(negated, s) {
				return false
			}
		} else if matchPattern(p, s) {
			matched = true
		}
	}
	return matched
}

// matchPattern matches "*" to any bytes and "?" to one.
func matchPattern(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
