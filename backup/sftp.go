package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/knownhosts"
)

// dialTime is how long a server has to let the host in.
const dialTime = 30 * time.Second

// remote is a store on a server of SFTP.
type remote struct {
	dir    string
	conn   *ssh.Client
	client *sftp.Client
	stop   func() bool
}

func openSFTP(ctx context.Context, t fleet.Target, login map[string]string, knownHosts []byte, own ssh.Signer) (_ *remote, err error) {
	u, err := url.Parse(t.SFTP)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(u.Hostname(), "22")
	if u.Port() != "" {
		address = u.Host
	}
	config, err := sshConfig(address, u.User.Username(), login, own, knownHosts)
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(dialing, "tcp", address)
	if err != nil {
		return nil, err
	}
	r := &remote{dir: u.Path, stop: context.AfterFunc(ctx, func() { _ = raw.Close() })}
	if err := r.start(raw, address, config); err != nil {
		r.stop()
		return nil, errors.Join(ctx.Err(), err, raw.Close())
	}
	return r, nil
}

func (r *remote) start(raw net.Conn, address string, config *ssh.ClientConfig) error {
	if err := raw.SetDeadline(time.Now().Add(dialTime)); err != nil {
		return err
	}
	conn, channels, requests, err := ssh.NewClientConn(raw, address, config)
	if err != nil {
		return err
	}
	r.conn = ssh.NewClient(conn, channels, requests)
	if r.client, err = sftp.NewClient(r.conn); err != nil {
		return err
	}
	return raw.SetDeadline(time.Time{})
}

func sshConfig(address, username string, login map[string]string, own ssh.Signer, knownHosts []byte) (*ssh.ClientConfig, error) {
	known, err := knownhosts.Parse(knownHosts)
	if err != nil {
		return nil, err
	}
	algorithms, err := knownhosts.Algorithms(known, address)
	if err != nil {
		return nil, &tip{fmt.Errorf("knownHostsFile has no key of %s", address), "compare what ssh-keyscan says with what the server's owner says, and add it"}
	}
	auth := ssh.PublicKeys(own)
	switch {
	case login["password"] != "":
		auth = ssh.Password(login["password"])
	case login["privateKey"] != "":
		signer, err := ssh.ParsePrivateKey([]byte(login["privateKey"]))
		if err != nil {
			return nil, errors.New("privateKey of the credentials is not a key of SSH without a passphrase")
		}
		auth = ssh.PublicKeys(signer)
	}
	return &ssh.ClientConfig{User: username, Auth: []ssh.AuthMethod{auth}, HostKeyCallback: known, HostKeyAlgorithms: algorithms, Timeout: dialTime}, nil
}

func (r *remote) List(ctx context.Context) ([]Stored, error) {
	entries, err := r.client.ReadDirContext(ctx, r.dir)
	if err != nil {
		return nil, err
	}
	var list []Stored
	for _, e := range entries {
		if name, ok := ParseName(e.Name()); ok && e.Mode().IsRegular() {
			list = append(list, Stored{name, e.Size()})
		}
	}
	return list, nil
}

func (r *remote) Put(_ context.Context, name string, from *os.File) (err error) {
	to := path.Join(r.dir, name)
	out, err := r.client.OpenFile(to+partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = r.client.Remove(to + partial) // the next attempt writes over it
		}
	}()
	if _, err := out.ReadFrom(from); err != nil {
		return errors.Join(err, out.Close())
	}
	_, syncs := r.client.HasExtension("fsync@openssh.com")
	if syncs {
		err = out.Sync()
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	if _, replaces := r.client.HasExtension("posix-rename@openssh.com"); replaces {
		return r.client.PosixRename(to+partial, to)
	}
	return r.client.Rename(to+partial, to)
}

func (r *remote) Get(_ context.Context, name string, to io.Writer) error {
	in, err := r.client.Open(path.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, errNoFile)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = in.WriteTo(to)
	return err
}

func (r *remote) Remove(_ context.Context, name string) error {
	return r.client.Remove(path.Join(r.dir, name))
}

func (r *remote) Close() error {
	r.stop()
	return errors.Join(r.client.Close(), r.conn.Close())
}
