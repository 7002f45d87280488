package secrets

import (
	"fmt"
	"io"

	"filippo.io/age"
)

// Seal returns a writer that encrypts to recipients what is written to it, as a
// binary file of age, which is whole once it is closed.
func Seal(w io.Writer, to []string) (io.WriteCloser, error) {
	keys, err := recipients(to)
	if err != nil {
		return nil, err
	}
	var all []age.Recipient
	for _, key := range keys {
		r, err := parseRecipient(key)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return age.Encrypt(w, all...)
}

// Unseal returns what is encrypted in a binary file of age. Its reader fails where
// the file was changed, or ends too early.
func Unseal(r io.Reader, ids ...Identity) (io.Reader, error) {
	var all []age.Identity
	for _, id := range ids {
		all = append(all, id.age)
	}
	plain, err := age.Decrypt(r, all...)
	if err != nil {
		return nil, fmt.Errorf("open what is encrypted: %w", err)
	}
	return plain, nil
}
