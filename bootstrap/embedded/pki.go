package embedded

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour // of the end of a certificate's life
)

// certificate is one that the node should have. It and its key are in one
// file, NAME.pem, so that they always belong together.
type certificate struct {
	name, issuer string // issuer is the name of an authority; empty makes an authority
	user         string // common name
	groups       []string
	names        []string // DNS names and addresses it serves
}

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// ensurePKI makes dir hold every wanted certificate, authorities first. Those
// that are good stay: a certificate is made again when it is missing, differs
// from what is wanted, is not its authority's, or is not valid for renewBefore
// more. It also keeps the key pair of service accounts.
func ensurePKI(dir string, wanted []certificate, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	authorities := map[string]pair{}
	for _, w := range wanted {
		path := filepath.Join(dir, w.name+".pem")
		issuer := authorities[w.issuer]
		have, err := readPair(path)
		if err != nil || !w.matches(have.cert, issuer.cert, now) {
			if have, err = w.issue(issuer, now); err != nil {
				return fmt.Errorf("make certificate %s: %w", w.name, err)
			}
			if err := writePair(path, have); err != nil {
				return err
			}
		}
		if w.issuer != "" {
			continue
		}
		authorities[w.name] = have
		crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: have.cert.Raw})
		if err := writeIfNew(filepath.Join(dir, w.name+".crt"), crt, 0o644); err != nil {
			return err
		}
	}
	return ensureServiceAccountKey(dir)
}

func (w certificate) matches(have, issuer *x509.Certificate, now time.Time) bool {
	spare := renewBefore
	if w.issuer == "" {
		issuer, spare = have, renewBefore+leafLife
	}
	dns, ips := w.split()
	return now.Add(spare).Before(have.NotAfter) &&
		have.Subject.CommonName == w.user && slices.Equal(have.Subject.Organization, w.groups) &&
		slices.Equal(have.DNSNames, dns) && slices.EqualFunc(have.IPAddresses, ips, net.IP.Equal) &&
		have.CheckSignatureFrom(issuer) == nil
}

func (w certificate) issue(issuer pair, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair{}, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: w.user, Organization: w.groups},
		NotBefore:    time.Unix(0, 0), // so that a clock that was set back does not stop the node
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},

		BasicConstraintsValid: true,
	}
	t.DNSNames, t.IPAddresses = w.split()
	if len(w.names) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if w.issuer == "" {
		t.NotAfter, t.IsCA, t.MaxPathLenZero = now.Add(authorityLife), true, true
		t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature, nil
		issuer = pair{cert: t, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, issuer.cert, key.Public(), issuer.key)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return pair{cert: cert, key: key}, err
}

// split separates DNS names from addresses.
func (w certificate) split() (dns []string, ips []net.IP) {
	for _, name := range w.names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}

func readPair(path string) (pair, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return pair{}, err
	}
	certBlock, rest := pem.Decode(data)
	keyBlock, _ := pem.Decode(rest)
	if certBlock == nil || keyBlock == nil {
		return pair{}, errors.New("not a certificate with its key")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return pair{}, err
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return pair{}, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return pair{}, errors.New("the key is not the certificate's")
	}
	return pair{cert: cert, key: key}, nil
}

func writePair(path string, p pair) error {
	key, err := x509.MarshalECPrivateKey(p.key)
	if err != nil {
		return err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
	data = append(data, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})...)
	return durable.WriteFile(path, data, 0o600)
}

// ensureServiceAccountKey keeps the key that signs service account tokens for
// good: a new one would make every token in use worthless.
func ensureServiceAccountKey(dir string) error {
	path := filepath.Join(dir, "sa.pem")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return err
		}
		data = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
		if err := durable.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("read %s: no key in it", path)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writeIfNew(filepath.Join(dir, "sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644)
}

// writeIfNew writes a file unless it has that content and mode already.
func writeIfNew(path string, data []byte, perm os.FileMode) error {
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, data) {
		return os.Chmod(path, perm)
	}
	return durable.WriteFile(path, data, perm)
}
