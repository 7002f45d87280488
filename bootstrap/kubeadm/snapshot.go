package kubeadm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

// Snapshot writes the cluster's data, as a majority of etcd has agreed on it, to a
// file that is there whole, with the hash that etcd made of it, or not at all.
func Snapshot(ctx context.Context, file string) error {
	store, err := localEtcd()
	if err != nil {
		return err
	}
	defer store.CloseIdleConnections()
	return store.snapshot(ctx, file)
}

func (e *etcd) snapshot(ctx context.Context, file string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("take a snapshot of etcd: %w", err)
		}
	}()
	// A member answers this only once it has caught up with the others.
	if err := kubeapi.Post(ctx, &e.Client, e.base+"kv/range", map[string][]byte{"key": {0}}, nil); err != nil {
		return err
	}
	partial := file + ".partial"
	defer os.Remove(partial)
	out, err := durable.Disk{}.Create(partial)
	if err != nil {
		return err
	}
	if err := errors.Join(e.download(ctx, out), out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := checkSnapshot(partial); err != nil {
		return err
	}
	return errors.Join(os.Rename(partial, file), durable.SyncDir(filepath.Dir(file)))
}

// download writes what the member streams: a document for each piece, the hash last.
// It takes as long as it takes, so only ctx ends it.
func (e *etcd) download(ctx context.Context, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+"maintenance/snapshot", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	resp, err := e.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	for pieces := json.NewDecoder(resp.Body); ; {
		var piece struct {
			Result struct{ Blob []byte }
			Error  struct{ Message string }
		}
		if err := pieces.Decode(&piece); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if piece.Error.Message != "" {
			return errors.New(piece.Error.Message)
		}
		if _, err := to.Write(piece.Result.Blob); err != nil {
			return err
		}
	}
}

// checkSnapshot tells whether a file is a whole snapshot: at its end it has the hash of
// all before, which is pages of a database.
func checkSnapshot(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - sha256.Size
	if size <= 0 || size%512 != 0 {
		return fmt.Errorf("%s is not a whole snapshot of etcd: no database has %d bytes", file, info.Size())
	}
	h, want := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.CopyN(h, f, size); err != nil {
		return err
	}
	if _, err := io.ReadFull(f, want); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return fmt.Errorf("%s is not a whole snapshot of etcd: its hash is of something else", file)
	}
	return nil
}

// RestoreSnapshot makes the data of a snapshot that of the node of that name whose record
// is in dir, and returns when its API answers. Of several hosts of a control plane, it is
// a cluster without the others: they are reset, and join anew.
func RestoreSnapshot(ctx context.Context, dir, host, file string) error {
	n, rec, err := made(dir)
	if err != nil {
		return err
	}
	if n == nil || rec.Worker {
		return errors.New("this host has no control plane to restore")
	}
	n.Host = host
	if err := n.restoreSnapshot(ctx, file, rec.Address); err != nil {
		return err
	}
	if err := system.Systemctl(ctx, "start", "kubelet.service"); err != nil {
		return err
	}
	return n.await(ctx, n.healthy)
}

const etcdData = "/var/lib/etcd"

// restoreSnapshot makes the data of a snapshot that of this host, whose node has the
// address, as the only member of a new cluster of etcd. It stops the kubelet and the
// control plane, and leaves them stopped. Cut off at any point, it can be done again.
func (n *node) restoreSnapshot(ctx context.Context, file, address string) error {
	if err := checkSnapshot(file); err != nil {
		return err
	}
	if err := n.stopControlPlane(ctx); err != nil {
		return err
	}
	return n.replaceData(ctx, file, address)
}

// replaceData does so where no control plane runs, by more flags of etcdutl.
func (n *node) replaceData(ctx context.Context, file, address string, flags ...string) error {
	if err := n.unpackSnapshot(ctx, file, address, restoredData, flags...); err != nil {
		return fmt.Errorf("restore etcd from %s: %w", file, err)
	}
	if err := replaceMember(etcdData, restoredData); err != nil {
		return err
	}
	return os.RemoveAll(restoredData)
}

// restoredData is where data is made, to be put in place of etcd's.
const restoredData = etcdData + "/.restored"

// replaceMember puts the member of a data folder of etcd in place of another's. A power cut
// leaves the one or the other: of a folder without any, etcd would make an empty cluster.
func replaceMember(dir, fresh string) error {
	from, to := filepath.Join(fresh, "member"), filepath.Join(dir, "member")
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	if errors.Is(err, fs.ErrNotExist) { // there is none in its place
		err = os.Rename(from, to)
	}
	if err != nil {
		return fmt.Errorf("put %s in place of %s: %w", from, to, err)
	}
	return errors.Join(durable.SyncDir(fresh), durable.SyncDir(dir))
}

func (n *node) stopControlPlane(ctx context.Context) error {
	if err := system.Systemctl(ctx, "stop", "kubelet.service"); err != nil {
		return err
	}
	if err := n.endControlPlane(ctx); err != nil {
		return err
	}
	return n.await(ctx, func(ctx context.Context) error { return silent(ctx, etcdAddress) })
}

// unpackSnapshot has the etcdutl of the image of etcd make a data folder of a snapshot, see
// https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#restoring-an-etcd-cluster.
// The revision jumps, so that nobody takes what they knew before for something newer.
// The image is mounted for that program alone, so it does not stay mounted if that is killed;
// where it sees what containerd mounts meanwhile, for that is what it gets; and each time
// elsewhere, for containerd remembers for an hour what it has mounted where.
func (n *node) unpackSnapshot(ctx context.Context, file, address, dir string, flags ...string) error {
	const script = `ctr=$1 image=$2 root=$(mktemp -d "$3.XXXXXX") data=$4; shift 4
rm -rf "$data"
"$ctr" images mount "$image" "$root" >/dev/null
"$root/usr/local/bin/etcdutl" snapshot restore "$@" --data-dir="$data"
sync -f "$data"
"$ctr" images unmount --rm "$root" >/dev/null
rmdir "$root"`
	peer := "https://" + net.JoinHostPort(address, "2380")
	args := []string{"unshare", "--mount", "--propagation=slave", "sh", "-ec", script, "sh",
		filepath.Join(n.Bin, "ctr"), etcdImage(n.Cluster), "/run/holdfast-etcd", dir, file, "--name=" + n.Host,
		"--initial-cluster=" + n.Host + "=" + peer, "--initial-advertise-peer-urls=" + peer, "--bump-revision=1000000000", "--mark-compacted"}
	_, err := system.Run(ctx, "holdfast-kubeadm-restore", []string{"PATH=" + system.Path, "CONTAINERD_ADDRESS=" + socket, "CONTAINERD_NAMESPACE=k8s.io"},
		append(args, flags...)...)
	return err
}

// silent tells whether nothing listens at an address.
func silent(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return context.Cause(ctx)
	}
	return errors.Join(fmt.Errorf("something still listens on %s", address), conn.Close())
}
