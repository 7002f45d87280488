package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// kept is a snapshot. The real ones have the authorities within the datastore, sealed
// with the token; here they are beside it.
type kept struct {
	Etcd   []byte
	Sealed []byte
}

// snapshot keeps the datastore in a file.
func (l like) snapshot(ctx context.Context, cmd documented.Command) error {
	name := cmd.Flags["--name"]
	if name == "" {
		name = "on-demand"
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	file := filepath.Join(l.data("server/db/snapshots"), fmt.Sprintf("%s-%s-%d", name, host, time.Now().Unix()))
	if err := l.table.Check("path", file, ""); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	plain := file + ".etcd"
	defer os.Remove(plain)
	if err := saveEtcd(ctx, l.data("standin"), plain); err != nil {
		return err
	}
	if err := l.seal(plain, file); err != nil {
		return err
	}
	_, err = fmt.Printf("Snapshot %s saved.\n", filepath.Base(file))
	return err
}

func (l like) seal(plain, file string) error {
	var k kept
	keys, err := readKeys(l.data("standin"))
	if err != nil {
		return err
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	t, err := l.readToken(l.data("server/token"))
	if err != nil {
		return err
	}
	box, err := box(t.secret)
	if err != nil {
		return err
	}
	nonce := make([]byte, box.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	k.Sealed = box.Seal(nonce, nonce, text, nil)
	if k.Etcd, err = os.ReadFile(plain); err != nil {
		return err
	}
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return durable.WriteFile(file, data, 0o600)
}

// box is opened by the secret in the token.
func box(secret string) (cipher.AEAD, error) {
	key := sha256.Sum256([]byte(secret))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// forget removes snapshots.
func (l like) forget(_ context.Context, cmd documented.Command) error {
	for _, name := range cmd.Rest {
		if err := os.Remove(filepath.Join(l.data("server/db/snapshots"), name)); err != nil {
			return err
		}
	}
	return nil
}

// clusterReset makes this server's the only member of its datastore, that of a snapshot where there is one, and ends.
func (l like) clusterReset(ctx context.Context, s documented.Settings, file string) error {
	if s.First("server") != "" {
		return fmt.Errorf("%s: cannot perform cluster-reset while server URL is set", l.name)
	}
	flag := l.data("server/db/reset-flag")
	if _, err := os.Stat(flag); err == nil {
		return fmt.Errorf("%s: cluster-reset was performed; to perform another, first delete %s", l.name, flag)
	}
	if running(ctx, l.unit) {
		return fmt.Errorf("%s: its ports are in use", l.name)
	}
	t, err := l.readToken(s.First("token-file"))
	if err != nil {
		return err
	}
	plain := l.data("server/db/restored")
	defer os.Remove(plain)
	if err := errors.Join(l.layOut(), folders(filepath.Dir(plain))); err != nil {
		return err
	}
	keys := map[string][]byte{}
	if file == "" {
		err = copyEtcd(l.data("standin"), plain)
	} else {
		keys, err = l.unseal(file, plain, t.secret)
	}
	if err != nil {
		return err
	}
	old := l.data(fmt.Sprintf("server/db/etcd-old-%d", time.Now().UnixNano()))
	if err := os.Rename(etcdData(l.data("standin")), old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := errors.Join(restoreEtcd(ctx, l.data("standin"), plain, s.First("node-name"), embedded.PeerURL(s.First("node-ip"))),
		writeKeys(l.data("standin"), keys), durable.WriteFile(flag, nil, 0o600)); err != nil {
		return err
	}
	_, err = fmt.Println("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now.")
	return err
}

// unseal writes the datastore that a snapshot keeps to a file, and returns the keys in it.
func (l like) unseal(file, plain, secret string) (map[string][]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, err
	}
	box, err := box(secret)
	if err != nil {
		return nil, err
	}
	text, err := box.Open(nil, k.Sealed[:box.NonceSize()], k.Sealed[box.NonceSize():], nil)
	if err != nil {
		return nil, fmt.Errorf("%s: bootstrap data already found and encrypted with different token", l.name)
	}
	var keys map[string][]byte
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, err
	}
	return keys, durable.WriteFile(plain, k.Etcd, 0o600)
}
