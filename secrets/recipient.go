package secrets

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
)

// maxIdentities is how many bytes a file of identities may have.
const maxIdentities = 64 << 10

// Identity is a private key that opens documents.
type Identity struct {
	age       age.Identity
	recipient string // its public key, if that is known
}

// HostIdentity makes an identity of a host's own key.
func HostIdentity(key ed25519.PrivateKey) (Identity, error) {
	id, err := agessh.NewEd25519Identity(key)
	if err != nil {
		return Identity{}, errors.New("the host's key cannot open secrets")
	}
	return Identity{age: id}, nil
}

// ParseIdentities reads a private key of SSH, or a file of age identities, one a
// line. Its error is a [Problem] that quotes nothing of it.
func ParseIdentities(file string, data []byte) ([]Identity, error) {
	if len(data) > maxIdentities {
		return nil, problemf(file, 0, "name a file of keys", "larger than %d KiB", maxIdentities>>10)
	}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		return sshIdentity(file, data)
	}
	var ids []Identity
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		if text = strings.TrimSpace(text); text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id, err := ageIdentity(text)
		if err != nil {
			return nil, problemf(file, line, "a line holds AGE-SECRET-KEY-1…, as age-keygen writes it", "%s", err)
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, problemf(file, 0, "make one: age-keygen -o "+file, "holds no identity of age and no key of SSH")
	}
	return ids, nil
}

func sshIdentity(file string, data []byte) ([]Identity, error) {
	id, err := agessh.ParseIdentity(data)
	switch {
	case err == nil:
		return []Identity{{age: id}}, nil
	case strings.Contains(err.Error(), "passphrase"):
		return nil, problemf(file, 0, "use a key without one, such as of age-keygen", "the key is protected by a passphrase")
	}
	return nil, problemf(file, 0, "secrets open with keys of the type ssh-ed25519 or ssh-rsa", "not a private key of SSH that opens secrets")
}

func ageIdentity(text string) (Identity, error) {
	switch {
	case strings.HasPrefix(text, "AGE-SECRET-KEY-PQ-1"):
		if id, err := age.ParseHybridIdentity(text); err == nil {
			return Identity{id, id.Recipient().String()}, nil
		}
	case strings.HasPrefix(text, "AGE-SECRET-KEY-1"):
		if id, err := age.ParseX25519Identity(text); err == nil {
			return Identity{id, id.Recipient().String()}, nil
		}
	case strings.HasPrefix(text, "AGE-PLUGIN-"):
		return Identity{}, errors.New("an identity of a plugin of age, which is not supported")
	}
	return Identity{}, errors.New("not an identity of age")
}

// parseRecipient reads a public key: age1…, or ssh-ed25519 … or ssh-rsa ….
func parseRecipient(key string) (age.Recipient, error) {
	var r age.Recipient
	var err error
	switch {
	case strings.HasPrefix(key, "age1pq1"):
		r, err = age.ParseHybridRecipient(key)
	case strings.HasPrefix(key, "age1") && strings.Count(key, "1") > 1 && strings.LastIndex(key, "1") > len("age1"):
		// Bech32 has no 1 after the prefix, so this is "age1plugin1…".
		return nil, fmt.Errorf("%s is of a plugin of age, which is not supported", key)
	case strings.HasPrefix(key, "age1"):
		r, err = age.ParseX25519Recipient(key)
	case strings.HasPrefix(key, "ssh-"):
		r, err = agessh.ParseRecipient(key)
	default:
		err = errors.New("unknown")
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not a recipient of age: age1…, ssh-ed25519 … or ssh-rsa …", key)
	}
	return r, nil
}

// CheckRecipients tells whether all of a list are public keys, and there is one.
func CheckRecipients(keys []string) error {
	_, err := recipients(keys)
	return err
}

// recipients drops comments and repetitions, and checks what is left.
func recipients(keys []string) ([]string, error) {
	var plain []string
	for _, key := range keys {
		key = plainKey(key)
		if _, err := parseRecipient(key); err != nil {
			return nil, err
		}
		if !slices.Contains(plain, key) {
			plain = append(plain, key)
		}
	}
	if len(plain) == 0 {
		return nil, errors.New("there are no recipients")
	}
	if len(plain) > maxRecipients {
		return nil, fmt.Errorf("more than %d recipients", maxRecipients)
	}
	return plain, nil
}

// wrapKey encrypts the data key to one recipient after the other, as sops does.
func wrapKey(key []byte, to []string) ([]wrappedKey, error) {
	var all []wrappedKey
	for _, text := range to {
		r, err := parseRecipient(text)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		armored := armor.NewWriter(&out)
		w, err := age.Encrypt(armored, r)
		if err != nil {
			return nil, fmt.Errorf("encrypt to %s: %w", text, err)
		}
		if _, err := w.Write(key); err != nil {
			return nil, err
		}
		if err := errors.Join(w.Close(), armored.Close()); err != nil {
			return nil, err
		}
		all = append(all, wrappedKey{text, out.String()})
	}
	return all, nil
}

// unwrapKey returns the data key, or nil if no identity fits.
func unwrapKey(keys []wrappedKey, ids []Identity) []byte {
	if len(ids) == 0 {
		return nil
	}
	var all []age.Identity
	mine := map[string]bool{}
	for _, id := range ids {
		all = append(all, id.age)
		mine[id.recipient] = true
	}
	// What names an identity of ours is tried first.
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b wrappedKey) int {
		return rank(mine[plainKey(a.recipient)]) - rank(mine[plainKey(b.recipient)])
	})
	for _, k := range keys {
		r, err := age.Decrypt(armor.NewReader(strings.NewReader(k.enc)), all...)
		if err != nil {
			continue
		}
		key, err := io.ReadAll(io.LimitReader(r, keySize+1))
		if err == nil && len(key) == keySize {
			return key
		}
	}
	return nil
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}
