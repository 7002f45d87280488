package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// Store is where backups lie: a folder, or a server.
type Store interface {
	// List returns what has the name of a backup, of all sites.
	List(ctx context.Context) ([]Stored, error)
	// Put stores a file, of which there is nothing under its name until there is all.
	Put(ctx context.Context, name string, from *os.File) error
	// Get writes what is stored.
	Get(ctx context.Context, name string, to io.Writer) error
	Remove(ctx context.Context, name string) error
	Close() error
}

// partial is what a file is called until it is whole.
const partial = ".partial"

// Opener opens stores with what a host knows.
type Opener struct {
	Files   map[string][]byte // of the fleet, by path: those that targets name; credentials are encrypted
	Secrets secrets.Identity  // opens credentials
	Login   ssh.Signer        // the host's own key, for SFTP where nothing else is said
}

// Open connects to a target. What it opens of credentials is in memory only.
func (o Opener) Open(ctx context.Context, t fleet.Target) (Store, error) {
	store, err := o.open(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", t.Name(), err)
	}
	return store, nil
}

func (o Opener) open(ctx context.Context, t fleet.Target) (Store, error) {
	login, err := o.credentials(t)
	if err != nil {
		return nil, err
	}
	for _, name := range t.Files() {
		if len(o.Files[name]) == 0 {
			return nil, fmt.Errorf("%s of the fleet is not there", name)
		}
	}
	switch {
	case t.Folder != "":
		return openFolder(t.Folder)
	case t.SFTP != "":
		return openSFTP(ctx, t, login, o.Files[t.KnownHostsFile], o.Login)
	default:
		return openS3(t, login, o.Files[t.CAFile])
	}
}

// credentials opens the SOPS document that a target names, key → value.
func (o Opener) credentials(t fleet.Target) (map[string]string, error) {
	if t.Credentials == "" {
		return nil, nil
	}
	doc, err := secrets.Parse(t.Credentials, o.Files[t.Credentials])
	if err != nil {
		return nil, err
	}
	plain, err := doc.Open(o.Secrets)
	if err != nil {
		return nil, err
	}
	allowed := map[string]bool{"accessKeyID": t.S3 != "", "secretAccessKey": t.S3 != "", "privateKey": t.SFTP != "", "password": t.SFTP != ""}
	login := map[string]string{}
	for _, v := range plain.Values() {
		text, isText := v.Data.(string)
		if len(v.Path) != 1 || !allowed[v.Path[0]] || !isText || text == "" {
			return nil, &tip{fmt.Errorf("%s holds what is no credential for it", t.Credentials), "texts under accessKeyID and secretAccessKey for s3, under privateKey or password for sftp"}
		}
		login[v.Path[0]] = text
	}
	return login, nil
}

// tip is an error with a hint.
type tip struct {
	error
	hint string
}

func (t *tip) Unwrap() error { return t.error }

// Hint says what can be done.
func (t *tip) Hint() string { return t.hint }

// errNoFile reports a backup that is not there.
var errNoFile = errors.New("there is no backup of that name")
