package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
	"github.com/holdfast-fleet/holdfast/support"
)

// hideAll tells the redactor every secret that the agent knows. Its error joins
// where some could not be looked up.
func hideAll(hide *support.Redactor, opts supportOptions, kubeconfig string) error {
	id, err := hideIdentity(hide, filepath.Join(opts.dataDir, "identity"))
	errs := []error{err, hideConfigured(hide, opts.config), hideKubeconfig(hide, kubeconfig)}
	if id != nil {
		errs = append(errs, hideSealed(hide, opts.dataDir, *id), hideFleet(hide, opts.dataDir, *id))
	}
	return errors.Join(errs...)
}

// hideIdentity hides the host's key, and returns what it opens; nil if it has none.
func hideIdentity(hide *support.Redactor, dir string) (*secrets.Identity, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		return nil, err
	}
	for _, path := range files {
		if filepath.Ext(path) == ".pub" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		hide.Hide(string(data))
	}
	id, err := identity.Load(dir)
	if err != nil {
		return nil, err
	}
	opens, err := secrets.HostIdentity(id.PrivateKey())
	return &opens, err
}

// hideConfigured hides what the configuration has and names: what is in files of
// credentials, and in URLs.
func hideConfigured(hide *support.Redactor, path string) error {
	c, err := readAgentConfig(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range c.Spec.Sources {
		for _, file := range []string{s.TokenFile, s.PasswordFile, s.KeyFile} {
			if file == "" {
				continue
			}
			data, err := os.ReadFile(file)
			errs = append(errs, err)
			hide.Hide(string(data))
		}
		for _, address := range []string{s.Git, s.Mirror, s.Proxy} {
			if u, err := url.Parse(address); err == nil {
				password, _ := u.User.Password()
				hide.Hide(password)
			}
		}
	}
	return errors.Join(errs...)
}

var kubeconfigSecret = regexp.MustCompile(`"?(?:token|client-key-data|password)"?\s*:\s*"?([^"\s,}]+)`)

// hideKubeconfig hides what the agent logs in to its cluster with.
func hideKubeconfig(hide *support.Redactor, path string) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, found := range kubeconfigSecret.FindAllSubmatch(data, -1) {
		hide.Hide(string(found[1]))
		if plain, err := base64.StdEncoding.DecodeString(string(found[1])); err == nil {
			hide.Hide(string(plain))
		}
	}
	return err
}

// hideSealed hides the secrets of what was confirmed.
func hideSealed(hide *support.Redactor, dataDir string, id secrets.Identity) error {
	_, desired, _, err := reconciler.ReadConfirmed(dataDir)
	if err != nil {
		return err
	}
	_, hidden, err := desired.Node.Open(id)
	errs := []error{err}
	for _, secret := range hidden {
		hide.Hide(secret)
	}
	for _, l := range desired.Cluster.Layers {
		_, hidden, err := l.Open(id)
		errs = append(errs, err)
		for _, secret := range hidden {
			hide.Hide(secret)
		}
	}
	return errors.Join(errs...)
}

// hideFleet hides all that this host can open of the newest revision, such as
// credentials of sources.
func hideFleet(hide *support.Redactor, dataDir string, id secrets.Identity) error {
	repo, err := gitsource.Look(sourceState(dataDir))
	if errors.Is(err, gitsource.ErrNothing) {
		return nil
	}
	if err != nil {
		return err
	}
	defer repo.Close()
	rev, _, err := repo.Floor()
	if err != nil {
		return err
	}
	err = secrets.Find(rev.FS(), ".", func(string) bool { return false }, func(file string, data []byte) {
		doc, err := secrets.Parse(file, data)
		if err != nil {
			return
		}
		if plain, err := doc.Open(id); err == nil { // others' secrets are not here in the plain
			for _, secret := range plain.Secrets() {
				hide.Hide(secret)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("look for secrets of revision %s: %w", rev.Short(), err)
	}
	return nil
}
