package kubeadm

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/peers"
)

// outage is how long etcd must be without its majority, on end, before a host goes on alone.
const outage = 30 * time.Second

// survives waits until what belongs to the host is healthy. A host of the control plane whose
// etcd has lost its majority for good goes on alone, and others join it.
func (n *node) survives(ctx context.Context) error {
	var lost []fellow
	var since time.Time // when it was first seen that they do not come back
	err := n.await(ctx, func(ctx context.Context) error {
		unhealthy := n.healthy(ctx)
		if unhealthy == nil {
			lost = nil
			return nil
		}
		now, err := n.lost(ctx)
		if err == nil {
			lost = now
		}
		switch {
		case err != nil || len(lost) == 0 || !n.isLeftBy(ctx, lost):
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= outage:
			return nil
		}
		return unhealthy
	})
	if len(lost) == 0 {
		return err
	}
	if err != nil {
		return system.Refuse("etcd has lost its majority: no answer from "+strings.Join(names(lost), " and "),
			"switch them on; or, where they are lost for good, see to it that they stay off, and take them out with state: removed, or register new machines "+
				"in their place: "+n.Host+" goes on alone then, and lets others join")
	}
	n.log.Warn("etcd has lost its majority, and the fleet says that it does not come back; this host goes on alone", "without", names(lost))
	return n.goOnAlone(ctx)
}

// fellow is another member of etcd, as its members tell each other.
type fellow struct {
	Name  string   `json:"name"`
	Peers []string `json:"peerURLs"`
}

// lost lists the other members where etcd has no leader on this host, and none of them is there.
func (n *node) lost(ctx context.Context) ([]fellow, error) {
	if n.Worker {
		return nil, nil
	}
	authority, err := authorityOf(pkiDir + "/etcd/ca.crt")
	if err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(pkiDir+"/etcd/peer.crt", pkiDir+"/etcd/peer.key")
	if err != nil {
		return nil, err
	}
	asPeer := etcdClient(authority, own)
	defer asPeer.CloseIdleConnections()
	return n.lostBy(ctx, "http://"+etcdMetrics, &asPeer, "https://"+net.JoinHostPort(n.address, "2380"))
}

// etcdMetrics is where kubeadm has etcd answer for them, over HTTP.
const etcdMetrics = "127.0.0.1:2381"

// lostBy asks etcd for its metrics, and as another member would: clients are not heard as long
// as there has been no leader since it started.
func (n *node) lostBy(ctx context.Context, metrics string, asPeer *http.Client, peer string) ([]fellow, error) {
	if has, err := hasLeader(ctx, metrics); err != nil || has {
		return nil, err
	}
	var members []fellow
	if err := kubeapi.Get(ctx, asPeer, peer+"/members", &members); err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(members, func(m fellow) bool { return m.Name == n.Host })
	if slices.ContainsFunc(others, func(m fellow) bool { return m.listens(ctx) }) {
		return nil, nil
	}
	return others, nil
}

// hasLeader tells what the metric etcd_server_has_leader says, see
// https://etcd.io/docs/v3.6/metrics/.
func hasLeader(ctx context.Context, metrics string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metrics+"/metrics", nil)
	if err != nil {
		return false, err
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(resp.Body, 16<<20)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "etcd_server_has_leader "); ok {
			return value != "0", nil
		}
	}
	return false, errors.New("etcd does not say whether it has a leader: " + resp.Status)
}

// listens tells whether something does where the other members reach this one. A host
// that is off does not even refuse.
func (m fellow) listens(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	for _, peer := range m.Peers {
		at, err := url.Parse(peer)
		if err != nil {
			return true
		}
		if conn, err := dialer.DialContext(ctx, "tcp", at.Host); err == nil {
			conn.Close()
			return true
		}
	}
	return false
}

// isLeftBy tells whether the members do not come back: the fleet has taken each of them out,
// or has another machine or a worker under its name, and whoever else is of its control
// plane is part of no cluster.
func (n *node) isLeftBy(ctx context.Context, lost []fellow) bool {
	for _, m := range lost {
		if !slices.Contains(n.Removed, m.Name) && !slices.ContainsFunc(n.Members, func(o peers.Member) bool { return o.Name == m.Name }) {
			return false
		}
	}
	answers := n.site().Ask(ctx)
	return !slices.ContainsFunc(n.site().Servers(), func(o peers.Member) bool {
		answer, asked := answers[o.Name]
		return !asked || answer.Err != nil || answer.Known
	})
}

// goOnAlone makes the data of this host that of a cluster of etcd which it is the only
// member of. Cut off at any point it is as before, or done.
func (n *node) goOnAlone(ctx context.Context) error {
	if err := n.stopControlPlane(ctx); err != nil {
		return err
	}
	// A database that is no snapshot has no hash.
	if err := n.replaceData(ctx, filepath.Join(etcdData, "member/snap/db"), n.address, "--skip-hash-check"); err != nil {
		return err
	}
	if err := system.Systemctl(ctx, "start", "kubelet.service"); err != nil {
		return err
	}
	return n.await(ctx, n.healthy)
}

// names are those of members, sorted; one that has not started yet has none but its address.
func names(of []fellow) (list []string) {
	for _, m := range of {
		list = append(list, cmp.Or(m.Name, strings.Join(m.Peers, ",")))
	}
	slices.Sort(list)
	return list
}
