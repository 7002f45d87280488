package trust

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

type pgpKey struct {
	entity *openpgp.Entity
	name   string
}

const (
	pgpPublicBegin  = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	pgpPublicEnd    = "-----END PGP PUBLIC KEY BLOCK-----"
	pgpPrivateBegin = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
)

// addOpenPGP adds the keys of all armored blocks of a file; text between blocks is ignored.
func (k *Keyring) addOpenPGP(file string, data []byte) error {
	begin, found := 0, false // begin: line of the open block, 0 outside
	var block []byte
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		switch strings.TrimSpace(string(line)) {
		case pgpPrivateBegin:
			return &Problem{File: file, Line: i + 1, Msg: "this is a private key", Tip: "revoke it, then export a public one with gpg --armor --export"}
		case pgpPublicBegin:
			if begin > 0 {
				return &Problem{File: file, Line: begin, Msg: "armored block without an end"}
			}
			begin, block = i+1, nil
		case pgpPublicEnd:
			if begin == 0 {
				return &Problem{File: file, Line: i + 1, Msg: "end of an armored block without a begin"}
			}
			if err := k.addOpenPGPBlock(append(block, line...)); err != nil {
				return &Problem{File: file, Line: begin, Msg: "read OpenPGP key: " + err.Error(), Tip: "export it anew with gpg --armor --export"}
			}
			begin, found = 0, true
		}
		if begin > 0 {
			block = append(block, line...)
		}
	}
	if begin > 0 {
		return &Problem{File: file, Line: begin, Msg: "armored block without an end"}
	}
	if !found {
		return &Problem{File: file, Msg: "holds no armored OpenPGP key", Tip: "export one with gpg --armor --export, or give an allowed_signers file another ending than .asc"}
	}
	return nil
}

func (k *Keyring) addOpenPGPBlock(armored []byte) error {
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil {
		return err
	}
	packets := packet.NewReader(block.Body)
	for n := 0; ; n++ {
		entity, err := openpgp.ReadEntity(packets)
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return err
		case len(k.pgp) >= maxKeys:
			return fmt.Errorf("more than %d keys", maxKeys)
		}
		name := pgpName(entity)
		if name == "" {
			return fmt.Errorf("key %s has no user ID that its owner signed", fingerprint(entity))
		}
		k.pgp = append(k.pgp, pgpKey{entity, name})
	}
}

// pgpName is the address of the user ID that the owner prefers: not revoked,
// marked as primary, newest; then the first by name.
func pgpName(e *openpgp.Entity) string {
	var ids []*openpgp.Identity
	for _, id := range e.Identities {
		if id.SelfSignature != nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b *openpgp.Identity) int {
		rank := func(i *openpgp.Identity) int {
			n := 0
			if len(i.Revocations) > 0 {
				n += 2
			}
			if i.SelfSignature.IsPrimaryId == nil || !*i.SelfSignature.IsPrimaryId {
				n++
			}
			return n
		}
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		if c := b.SelfSignature.CreationTime.Compare(a.SelfSignature.CreationTime); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	if len(ids) == 0 {
		return ""
	}
	if email := ids[0].UserId.Email; email != "" {
		return email
	}
	return ids[0].Name
}

func fingerprint(e *openpgp.Entity) string { return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint) }

func (k *Keyring) verifyOpenPGP(payload, signature []byte, at time.Time) (Signer, error) {
	sig, raw, err := readPGPSignature(signature)
	if err != nil {
		return Signer{}, err
	}
	if at.Before(sig.CreationTime) {
		at = sig.CreationTime
	}
	cause := fmt.Errorf("%w: no OpenPGP key %016X", ErrUnknownSigner, *sig.IssuerKeyId)
	for _, key := range k.pgp {
		keys := openpgp.EntityList{key.entity}.KeysById(*sig.IssuerKeyId)
		if len(keys) == 0 {
			continue
		}
		if err := key.verify(keys, payload, raw, at); err != nil {
			cause = fmt.Errorf("OpenPGP key %s of %s: %w", fingerprint(key.entity), key.name, err)
			continue
		}
		return Signer{Name: key.name, Key: fingerprint(key.entity), Kind: OpenPGP}, nil
	}
	return Signer{}, cause
}

// readPGPSignature returns the one signature packet of an armored signature, and its bytes.
func readPGPSignature(armored []byte) (*packet.Signature, []byte, error) {
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	raw, err := io.ReadAll(io.LimitReader(block.Body, maxSignature))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	packets := packet.NewReader(bytes.NewReader(raw))
	p, err := packets.Next()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	sig, ok := p.(*packet.Signature)
	switch _, rest := packets.Next(); {
	case !ok:
		return nil, nil, fmt.Errorf("%w: not a signature packet", ErrBadSignature)
	case !errors.Is(rest, io.EOF):
		return nil, nil, fmt.Errorf("%w: more than one packet in a signature", ErrBadSignature)
	case sig.SigType != packet.SigTypeBinary:
		return nil, nil, fmt.Errorf("%w: signature of type %#x, not of a document", ErrBadSignature, sig.SigType)
	case sig.IssuerKeyId == nil:
		return nil, nil, fmt.Errorf("%w: does not name its key", ErrBadSignature)
	case !strongHash(sig.Hash):
		return nil, nil, fmt.Errorf("%w: signature over a %s hash", ErrWeak, sig.Hash)
	}
	return sig, raw, nil
}

func strongHash(h crypto.Hash) bool {
	return h == crypto.SHA256 || h == crypto.SHA384 || h == crypto.SHA512 || h == crypto.SHA3_256 || h == crypto.SHA3_512
}

// verify never believes the entity that go-crypto returns: only that err is nil.
func (k pgpKey) verify(keys []openpgp.Key, payload, signature []byte, at time.Time) error {
	for _, key := range keys {
		if err := strongKey(key); err != nil {
			return err
		}
		if len(k.entity.Revocations) > 0 || len(key.Revocations) > 0 {
			return ErrRevoked
		}
	}
	config := &packet.Config{Time: func() time.Time { return at }, MinRSABits: minRSABits}
	_, _, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{k.entity}, bytes.NewReader(payload), bytes.NewReader(signature), config)
	switch {
	case errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrSignatureExpired):
		return fmt.Errorf("%w (%s): %w", ErrExpired, at.UTC().Format(time.RFC3339), err)
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return ErrRevoked
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return fmt.Errorf("%w: key may not sign", ErrUnknownSigner)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	return k.lifetime(at)
}

// usable tells whether the key, or one of its subkeys, is strong and may sign.
// A key that is newer than that time is judged at its own.
func (k pgpKey) usable(at time.Time) bool {
	for _, sub := range k.entity.Subkeys {
		if created := sub.PublicKey.CreationTime; created.After(at) {
			at = created
		}
	}
	if created := k.entity.PrimaryKey.CreationTime; created.After(at) {
		at = created
	}
	if len(k.entity.Revocations) > 0 || k.lifetime(at) != nil {
		return false
	}
	key, ok := k.entity.SigningKey(at)
	return ok && strongKey(key) == nil
}

// lifetime checks the self-signatures of every user ID: go-crypto looks at one
// only, and picks at random among those of the same age.
func (k pgpKey) lifetime(at time.Time) error {
	var newest time.Time
	for _, id := range k.entity.Identities {
		if s := id.SelfSignature; s != nil && s.CreationTime.After(newest) {
			newest = s.CreationTime
		}
	}
	for _, id := range k.entity.Identities {
		s := id.SelfSignature
		if s != nil && s.CreationTime.Equal(newest) && k.entity.PrimaryKey.KeyExpired(s, at) {
			return fmt.Errorf("%w (%s)", ErrExpired, at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func strongKey(key openpgp.Key) error {
	for _, pub := range []*packet.PublicKey{key.Entity.PrimaryKey, key.PublicKey} {
		switch pub.PubKeyAlgo {
		case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
			if bits, err := pub.BitLength(); err != nil || bits < minRSABits {
				return fmt.Errorf("%w: RSA key of %d bits, at least %d are needed", ErrWeak, bits, minRSABits)
			}
		case packet.PubKeyAlgoECDSA:
			if curve, err := pub.Curve(); err != nil || curve == packet.CurveSecP256k1 {
				return fmt.Errorf("%w: curve %s", ErrWeak, curve)
			}
		case packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		default:
			return fmt.Errorf("%w: public key algorithm %d", ErrWeak, pub.PubKeyAlgo)
		}
	}
	if key.SelfSignature == nil || !strongHash(key.SelfSignature.Hash) {
		return fmt.Errorf("%w: the key is bound by a SHA-1 signature", ErrWeak)
	}
	return nil
}
