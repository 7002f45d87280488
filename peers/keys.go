package peers

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/ssh"
)

// certificate is a certificate of the key by itself. Nothing is decided by what it
// says: both sides look at the key alone, so no clock can make it invalid.
func certificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "holdfast host"},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// keyOf is the key that the other side has shown to have.
func keyOf(state tls.ConnectionState) (ed25519.PublicKey, error) {
	if len(state.PeerCertificates) != 1 {
		return nil, errors.New("shows no key")
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("shows a key that is not an ed25519 key")
	}
	return key, nil
}

// fingerprint is how people know a key, as ssh-keygen -l prints it.
func fingerprint(key ed25519.PublicKey) string {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return err.Error()
	}
	return ssh.FingerprintSHA256(public)
}

// parseIdentity reads a key as the fleet has it.
func parseIdentity(identity string) (ed25519.PublicKey, error) {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(identity))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	crypto, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return nil, errors.New("identity: not an ed25519 key")
	}
	key, ok := crypto.CryptoPublicKey().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("identity: not an ed25519 key")
	}
	return key, nil
}

// config is what both sides agree on. admit says whose key is welcome.
func config(own tls.Certificate, admit func(ed25519.PublicKey) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{own},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, //nolint:gosec // no authority vouches for hosts; VerifyConnection knows their keys
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error {
			key, err := keyOf(state)
			if err != nil {
				return err
			}
			return admit(key)
		},
	}
}
