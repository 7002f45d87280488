package kubeadm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
)

// etcd speaks to this host's member of etcd, over the gateway to its gRPC API, see
// https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/.
type etcd struct {
	http.Client
	base string
}

const etcdAddress = "127.0.0.1:2379"

func localEtcd() (*etcd, error) {
	authority, err := authorityOf(pkiDir + "/etcd/ca.crt")
	if err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(pkiDir+"/apiserver-etcd-client.crt", pkiDir+"/apiserver-etcd-client.key")
	if err != nil {
		return nil, err
	}
	return newEtcd(etcdAddress, authority, own), nil
}

func newEtcd(address string, authority *x509.CertPool, own tls.Certificate) *etcd {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}}
	return &etcd{http.Client{Timeout: 10 * time.Second, Transport: transport}, "https://" + address + "/v3/"}
}

// member is one of the cluster's; the gateway writes numbers of 64 bits as text.
type member struct {
	ID   string   `json:"ID"`
	Name string   `json:"name"`
	URLs []string `json:"clientURLs"`
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
	list, err := e.members(ctx)
	if err != nil {
		return fmt.Errorf("list the members of etcd: %w", err)
	}
	for _, m := range list {
		if m.Name != name {
			continue
		}
		if err := kubeapi.Post(ctx, &e.Client, e.base+"cluster/member/remove", map[string]string{"ID": m.ID}, nil); err != nil {
			return fmt.Errorf("remove %s from etcd: %w", name, err)
		}
	}
	return nil
}
