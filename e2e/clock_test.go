//go:build e2e

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// dated HOST YEAR has a host's kubelet go by a certificate that the control plane, which
// is host a, gave it while their clocks said that year.
func (s *story) dated(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	year, err := strconv.Atoi(args[1])
	ts.Check(err)
	cert, err := s.hosts["a"].Run(ctx, "cat", "/etc/kubernetes/pki/ca.crt")
	ts.Check(err)
	key, err := s.hosts["a"].Run(ctx, "cat", "/etc/kubernetes/pki/ca.key")
	ts.Check(err)
	authority, err := tls.X509KeyPair([]byte(cert), []byte(key))
	ts.Check(err)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	from := time.Date(year, 11, 26, 8, 0, 0, 0, time.UTC)
	template := x509.Certificate{
		SerialNumber: big.NewInt(int64(year)), NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		Subject:  pkix.Name{CommonName: "system:node:store-042-" + args[0], Organization: []string{"system:nodes"}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, authority.Leaf, own.Public(), authority.PrivateKey)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(own)
	ts.Check(err)
	var text strings.Builder
	ts.Check(pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	ts.Check(pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	const script = `printf %s "$1" >"/root/$2.pem" && cat "/root/$2.pem" >/var/lib/kubelet/pki/kubelet-client-current.pem && systemctl restart kubelet`
	_, err = s.host(ts, args).Run(ctx, "sh", "-c", script, "sh", text.String(), args[1])
	ts.Check(err)
}
