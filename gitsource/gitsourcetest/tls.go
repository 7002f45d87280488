package gitsourcetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// CA is a certificate authority of its own.
type CA struct {
	File string // its certificate, PEM

	t    T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a certificate authority.
func NewCA(t T) *CA {
	t.Helper()
	ca := &CA{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.cert, ca.key = template, ca.newKey()
	ca.File = ca.write("ca.pem", "CERTIFICATE", ca.sign(template, ca.key))
	return ca
}

// Certificate makes a certificate for 127.0.0.1, of a server or a client, and its
// key; both are files in PEM.
func (ca *CA) Certificate(name string) (certificate, key string) {
	ca.t.Helper()
	private := ca.newKey()
	der := ca.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, private)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		ca.t.Fatalf("write key: %v", err)
	}
	return ca.write(name+".pem", "CERTIFICATE", der), ca.write(name+"-key.pem", "PRIVATE KEY", raw)
}

// ServeTLS serves h over TLS on loopback until the test ends, and returns its
// URL. With clients, only who shows a certificate of the authority is served.
func (ca *CA) ServeTLS(h http.Handler, clients bool) string {
	ca.t.Helper()
	pair, err := tls.LoadX509KeyPair(ca.Certificate("server"))
	if err != nil {
		ca.t.Fatalf("load certificate: %v", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clients {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AddCert(ca.cert)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		ca.t.Fatalf("listen on loopback: %v", err)
	}
	return "https://" + serve(ca.t, listener, h)
}

func (ca *CA) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatalf("make key: %v", err)
	}
	return key
}

func (ca *CA) sign(template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		ca.t.Fatalf("sign certificate: %v", err)
	}
	if template == ca.cert {
		if ca.cert, err = x509.ParseCertificate(der); err != nil {
			ca.t.Fatalf("read certificate: %v", err)
		}
	}
	return der
}

func (ca *CA) write(name, kind string, der []byte) string {
	file := filepath.Join(ca.t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		ca.t.Fatalf("write %s: %v", file, err)
	}
	return file
}
