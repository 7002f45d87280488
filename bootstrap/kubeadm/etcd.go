package kubeadm

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// etcd speaks to a member of etcd, over the gateway to its gRPC API, see
// https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/.
type etcd struct {
	http.Client
	base string
}

const (
	etcdPort    = "2379"
	etcdAddress = "127.0.0.1:" + etcdPort
)

func localEtcd() (*etcd, error) {
	own, err := tls.LoadX509KeyPair(pkiDir+"/apiserver-etcd-client.crt", pkiDir+"/apiserver-etcd-client.key")
	if err != nil {
		return nil, err
	}
	return etcdAt(etcdAddress, pkiDir, own)
}

// etcdAt is the member at an address, by the authority that is below pki.
func etcdAt(address, pki string, own tls.Certificate) (*etcd, error) {
	authority, err := authorityOf(filepath.Join(pki, "etcd/ca.crt"))
	if err != nil {
		return nil, err
	}
	return newEtcd(address, authority, own), nil
}

func newEtcd(address string, authority *x509.CertPool, own tls.Certificate) *etcd {
	return &etcd{etcdClient(authority, own), "https://" + address + "/v3/"}
}

func etcdClient(authority *x509.CertPool, own tls.Certificate) http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}}
	return http.Client{Timeout: 10 * time.Second, Transport: transport}
}

// quit takes a host whose attempt to join was cut off out of the etcd that it may have
// joined by then, through the member at an address, as one who has the authorities
// below pki. Where too few members would be left, etcd refuses, and the host keeps its
// data: kubeadm's reset removes that all the same, and with it the cluster's quorum.
func quit(ctx context.Context, host, address, pki string) error {
	if !system.Exists(filepath.Join(pki, "etcd/ca.key")) { // it did not come as far
		return nil
	}
	cert, key, err := issue(filepath.Join(pki, "etcd/ca"), pkix.Name{CommonName: "holdfast:quit:" + host})
	if err != nil {
		return err
	}
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	store, err := etcdAt(address, pki, own)
	if err != nil {
		return err
	}
	defer store.CloseIdleConnections()
	err = store.remove(ctx, host)
	if stranger := new(x509.UnknownAuthorityError); errors.As(err, stranger) { // that is not the cluster which it joined
		return nil
	}
	return err
}

// member is one of the cluster's; the gateway writes numbers of 64 bits as text.
type member struct {
	ID      string   `json:"ID"`
	Name    string   `json:"name"` // empty until it has started once
	URLs    []string `json:"clientURLs"`
	Learner bool     `json:"isLearner"`
}

func (e *etcd) members(ctx context.Context) ([]member, error) {
	var list struct{ Members []member }
	err := kubeapi.Post(ctx, &e.Client, e.base+"cluster/member/list", struct{}{}, &list)
	return list.Members, err
}

// healthy tells whether each member says that it is, see
// https://etcd.io/docs/v3.6/op-guide/monitoring/#health-check.
func (e *etcd) healthy(ctx context.Context) error {
	list, err := e.members(ctx)
	if err != nil {
		return err
	}
	for _, m := range list {
		if len(m.URLs) == 0 {
			return fmt.Errorf("member %s has not started", m.ID)
		}
		if err := kubeapi.Get(ctx, &e.Client, m.URLs[0]+"/health", nil); err != nil {
			return fmt.Errorf("member %s: %w", m.Name, err)
		}
	}
	return nil
}

// remove takes the member of that name out, if there is one. etcd itself refuses
// where too few of those that answer would be left.
func (e *etcd) remove(ctx context.Context, name string) error {
	return e.removeEach(ctx, func(m member) bool { return m.Name == name })
}

// makeWay removes what would keep a host from joining, while no other does: what it was
// before, and whoever was cut off before it started, for etcd has room for one learner.
func (e *etcd) makeWay(ctx context.Context, name string) error {
	return e.removeEach(ctx, func(m member) bool { return m.Name == name || m.Name == "" && m.Learner })
}

func (e *etcd) removeEach(ctx context.Context, is func(member) bool) error {
	list, err := e.members(ctx)
	if err != nil {
		return fmt.Errorf("list the members of etcd: %w", err)
	}
	for _, m := range list {
		if !is(m) {
			continue
		}
		if err := kubeapi.Post(ctx, &e.Client, e.base+"cluster/member/remove", map[string]string{"ID": m.ID}, nil); err != nil {
			return fmt.Errorf("remove %s from etcd: %w", cmp.Or(m.Name, "member "+m.ID), err)
		}
	}
	return nil
}
