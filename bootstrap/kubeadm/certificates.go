package kubeadm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

const (
	etcKubernetes = "/etc/kubernetes"
	kubeletConf   = etcKubernetes + "/kubelet.conf"
	kubeletPKI    = "/var/lib/kubelet/pki"
	kubeletClient = kubeletPKI + "/kubelet-client-current.pem"
)

// renewBefore is how long before their end certificates are renewed: early enough
// for a site that is hardly ever on, and, by up to ten days, at another time on
// each host, for the control plane of a host restarts.
func (n *node) renewBefore() time.Duration {
	h := fnv.New32a()
	h.Write([]byte(n.Host))
	return (60 + time.Duration(h.Sum32()%10)) * 24 * time.Hour
}

// certificatesEnd is when the first certificate of the control plane ends, of those
// that "kubeadm certs check-expiration" lists. An error means that one is not whole,
// or not valid yet at now.
func (n *node) certificatesEnd(now time.Time) (time.Time, error) {
	var first time.Time
	sooner := func(cert tls.Certificate, err error) error {
		if err == nil && early(now, cert.Leaf) {
			return fmt.Errorf("valid only from %s on", cert.Leaf.NotBefore)
		}
		if err == nil && (first.IsZero() || cert.Leaf.NotAfter.Before(first)) {
			first = cert.Leaf.NotAfter
		}
		return err
	}
	for _, name := range []string{"apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client", "etcd/server", "etcd/peer", "etcd/healthcheck-client"} {
		base := filepath.Join(etcKubernetes, "pki", name)
		if err := sooner(tls.LoadX509KeyPair(base+".crt", base+".key")); err != nil {
			return time.Time{}, fmt.Errorf("%s.crt: %w", base, err)
		}
	}
	for _, name := range []string{"admin", "super-admin", "controller-manager", "scheduler"} {
		err := sooner(kubeapi.Certificate(filepath.Join(etcKubernetes, name+".conf")))
		if name == "super-admin" && errors.Is(err, fs.ErrNotExist) { // people may have taken that one away
			continue
		}
		if err != nil {
			return time.Time{}, err
		}
	}
	return first, nil
}

// renewTime is how long after a renewal there is no other, whatever became of it. What
// somebody signs by a clock that is wrong is none the better for being signed again.
const renewTime = time.Hour

// justRenewed tells whether that was so by a clock that says now. A time that is still
// to come was said by one that was ahead.
func (r record) justRenewed(now time.Time) bool {
	return !r.Renewed.After(now) && now.Sub(r.Renewed) < renewTime
}

// certificatesDue tells whether it is time to renew them. The kubelet renews its own,
// unless it was off until that ended.
func (n *node) certificatesDue(now time.Time) bool {
	if n.Worker { // it has no other
		return kubeletOver(now)
	}
	end, err := n.certificatesEnd(now)
	return err != nil || now.Add(n.renewBefore()).After(end) || kubeletOver(now)
}

func kubeletOver(now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(kubeletClient, kubeletClient)
	if errors.Is(err, fs.ErrNotExist) { // it has not asked for its own yet
		pair, err = kubeapi.Certificate(kubeletConf)
	}
	return err != nil || early(now, pair.Leaf) || now.After(pair.Leaf.NotAfter)
}

// skew is how far the clocks of a site's hosts may differ without anything being done.
const skew = 5 * time.Minute

// early tells whether a certificate was made while a clock was ahead, by one that says
// now: it does not count yet, and a kubelet waits for that time, however far it is.
func early(now time.Time, cert *x509.Certificate) bool {
	return now.Add(skew).Before(cert.NotBefore)
}

// clockFits refuses a clock by which the cluster's authority does not count: it is
// wrong, and what is signed by it would be, too, or nothing can be signed any more.
func clockFits(now time.Time) error {
	data, err := os.ReadFile(pkiDir + "/ca.crt")
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return errors.New(pkiDir + "/ca.crt holds no certificate")
	}
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s/ca.crt: %w", pkiDir, err)
	}
	return fits(now, authority)
}

func fits(now time.Time, authority *x509.Certificate) error {
	if !early(now, authority) && !now.After(authority.NotAfter) {
		return nil
	}
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	return system.Refuse(fmt.Sprintf("the clock of this host says %s, and its cluster's authority counts from %s to %s", day(now), day(authority.NotBefore), day(authority.NotAfter)),
		"set the clock right, and the cluster goes on by itself; if it is right, the cluster was made by one that was not, and is made anew after holdfast reset")
}

// renewCertificates signs new ones with the cluster's authorities, which live ten
// years, and restarts what has read the old ones. They are valid from when the
// authority is, so that a clock which is wrong today makes none that is not valid yet
// when it is right. kubeadm writes key and certificate one after the other: a copy
// from before is kept until all is done, and put back if that was cut off.
func (n *node) renewCertificates(ctx context.Context, rec *record) error {
	if n.Worker {
		if err := n.introduceAnew(ctx); err != nil {
			return err
		}
		rec.Renewed = time.Now()
		return n.writeRecord(*rec)
	}
	before := filepath.Join(n.Dir, "certificates-before")
	if rec.Renewing {
		n.log.Info("a renewal of certificates was cut off; starting it again")
		if err := copyCertificates(before, etcKubernetes); err != nil {
			return err
		}
	} else {
		if err := errors.Join(os.RemoveAll(before), copyCertificates(etcKubernetes, before)); err != nil {
			return err
		}
		rec.Renewing = true
		if err := n.writeRecord(*rec); err != nil {
			return err
		}
	}
	n.log.Info("certificates are renewed")
	config, err := n.writeConfig(rec.Address)
	if err != nil {
		return err
	}
	if err := system.Systemctl(ctx, "stop", "kubelet.service"); err != nil {
		return err
	}
	if err := n.kubeadm(ctx, "certs", "certs", "renew", "all", "--config="+config); err != nil {
		return err
	}
	if kubeletOver(time.Now()) {
		if err := n.renewKubelet(ctx, config); err != nil {
			return err
		}
	}
	if err := n.endControlPlane(ctx); err != nil {
		return err
	}
	if err := system.Systemctl(ctx, "start", "kubelet.service"); err != nil {
		return err
	}
	rec.Renewing, rec.Renewed = false, time.Now()
	return errors.Join(n.writeRecord(*rec), os.RemoveAll(before))
}

// renewKubelet gives the kubelet a certificate to start with; it asks for its own then.
// See https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/troubleshooting-kubeadm/#kubelet-client-cert
func (n *node) renewKubelet(ctx context.Context, config string) error {
	old, err := filepath.Glob(kubeletPKI + "/kubelet-client-*.pem")
	if err != nil {
		return err
	}
	for _, file := range append(old, kubeletConf) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return n.kubeadm(ctx, "kubelet-conf", "init", "phase", "kubeconfig", "kubelet", "--config="+config)
}

// endControlPlane ends the containers that hold certificates in memory; the kubelet
// starts them again.
func (n *node) endControlPlane(ctx context.Context) error {
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
		found, err := n.ctr(ctx, "containers", "list", "--quiet", `labels."io.kubernetes.container.name"==`+name)
		if err != nil {
			return err
		}
		for _, id := range strings.Fields(string(found)) {
			_, _ = n.ctr(ctx, "tasks", "kill", "--all", "--signal=SIGKILL", id) // most are of former runs, and have none
		}
	}
	return nil
}

func (n *node) ctr(ctx context.Context, args ...string) ([]byte, error) {
	return exec.CommandContext(ctx, filepath.Join(n.Bin, "ctr"), append([]string{"--address=" + socket, "--namespace=k8s.io"}, args...)...).Output() //nolint:gosec // our own program
}

// copyCertificates copies what kubeadm certs renew changes from one folder to another.
func copyCertificates(from, to string) error {
	var disk durable.Disk
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && rel != "." && rel != "pki" && !strings.HasPrefix(rel, "pki/"):
			return fs.SkipDir // the manifests stay
		case d.IsDir():
			dir := filepath.Join(to, rel)
			return errors.Join(disk.MkdirAll(dir), disk.SyncDir(filepath.Dir(dir)))
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return durable.WriteFile(filepath.Join(to, rel), data, info.Mode().Perm())
	})
}
