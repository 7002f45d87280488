package kubeadm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Local answers the other hosts of the site for the node in Dir.
type Local struct {
	Dir string

	mu      sync.Mutex
	joining string // control-plane host that was given what it takes, and is not a node yet
	since   time.Time
	waited  bool // another asked since

	workers site.Workers
}

// joinTime is how long a host of the control plane may take before another may join.
const joinTime = 5 * time.Minute

// Cluster tells what this host knows of the cluster.
func (l *Local) Cluster(ctx context.Context) (peers.Cluster, error) {
	n, rec, err := made(l.Dir)
	if err != nil || n == nil {
		return peers.Cluster{}, err
	}
	known := peers.Cluster{Known: true, Kept: n.kept(), Returns: rec.Returns}
	if rec.Step != stepReady || rec.Worker || n.healthy(ctx) != nil {
		return known, nil
	}
	nodes, err := n.nodes(ctx)
	if err != nil {
		return known, nil //nolint:nilerr // it is not healthy, then
	}
	known.Gives, known.Nodes = true, nodes
	if rec.Upgrade == nil {
		known.Version = rec.Cluster.Version
	}
	return known, nil
}

// Give lets the member join. What a control-plane host was before in etcd is removed
// first: it asks because it is not any more.
func (l *Local) Give(ctx context.Context, to peers.Member) (material peers.Material, err error) {
	err = l.asAdmin(ctx, func(n *node, _ record, server *kubeapi.Server) error {
		err := server.LetIn(ctx, to.Name) // which may have been removed once
		switch {
		case err != nil:
			return err
		case to.Role == fleet.Worker:
			material, err = introduce(to.Name)
			return err
		}
		if err := l.reserve(ctx, server, to.Name); err != nil {
			return err
		}
		if err := n.forget(ctx, to.Name); err != nil {
			return err
		}
		material, err = readPKI()
		return err
	})
	return material, err
}

// reserve lets one host join the control plane at a time: each changes the members
// of etcd. One that was removed since does not keep others waiting, nor does one that
// tries again and again.
func (l *Local) reserve(ctx context.Context, server *kubeapi.Server, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.joining != "" && l.joining != name && time.Since(l.since) < joinTime && server.NodeReady(ctx, l.joining) != nil {
		out, err := server.KeptOut(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(out, l.joining) {
			l.waited = true
			return fmt.Errorf("%s joins the control plane just now: one at a time", l.joining)
		}
	}
	if l.joining != name || !l.waited {
		l.joining, l.since, l.waited = name, time.Now(), false
	}
	return nil
}

func readPKI() (peers.Material, error) {
	material := peers.Material{}
	for _, name := range pkiFiles {
		data, err := os.ReadFile(filepath.Join(pkiDir, name))
		if err != nil {
			return nil, err
		}
		material[name] = data
	}
	return material, nil
}

// introduce makes what a worker's kubelet asks for its own certificate with: one of
// the group that kubeadm lets do so.
func introduce(name string) (peers.Material, error) {
	cert, key, err := issue(filepath.Join(pkiDir, "ca"), pkix.Name{CommonName: "holdfast:join:" + name, Organization: []string{"system:bootstrappers:kubeadm:default-node-token"}})
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(pkiDir, "ca.crt"))
	return peers.Material{"ca.crt": ca, "join.crt": cert, "join.key": key}, err
}

// issue makes a client's certificate, for an hour, of the authority in two files of that name.
func issue(authority string, subject pkix.Name) (cert, key []byte, err error) {
	ca, err := tls.LoadX509KeyPair(authority+".crt", authority+".key")
	if err != nil {
		return nil, nil, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: ca.Leaf.NotBefore, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.Leaf, private.Public(), ca.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	if key, err = x509.MarshalECPrivateKey(private); err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}), nil
}
