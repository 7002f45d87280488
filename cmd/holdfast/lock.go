package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

const contentLock = "content.lock"

type lockOptions struct {
	fleet  string
	store  string
	output string
}

func newLockCmd() *cobra.Command {
	var opts lockOptions
	cmd := &cobra.Command{
		Use:   "lock [PROFILE...]",
		Short: "Write what bytes a profile's references mean",
		Long: `Render every site of the profiles (default: all), look up each image and each
artifact of the distribution in a content store, and write their digests to
profiles/<profile>/content.lock. Commit that file: hosts run those bytes and no others.

If a reference is not in the store, nothing is written.`,
		Example: `  holdfast lock --store build/content
  holdfast lock web-shop --fleet fleet-example --store build/content`,
		ValidArgsFunction: completeProfiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return runLock(cmd.OutOrStdout(), args, opts) },
	}
	addFleet(cmd, &opts.fleet)
	addStore(cmd, &opts.store)
	addOutput(cmd, &opts.output)
	return cmd
}

// lockedProfile is a profile's new content.lock.
type lockedProfile struct {
	Profile      string `json:"profile"`
	File         string `json:"file"`         // in the fleet
	Distribution int    `json:"distribution"` // number of references
	Images       int    `json:"images"`       // number of references
	Changed      bool   `json:"changed"`
	data         []byte
}

func runLock(w io.Writer, names []string, opts lockOptions) error {
	if err := isFolder(opts.fleet, fleetTip); err != nil {
		return err
	}
	fsys := os.DirFS(opts.fleet)
	unlocked := withoutLocks{fsys}                                              // an old lock, even a broken one, does not matter
	f, err := fleet.LoadWith(unlocked, fleet.Options{Pins: unpinned{unlocked}}) // nor what sites are pinned to
	if err != nil {
		return err
	}
	store, err := openStore(opts.store)
	if err != nil {
		return err
	}
	profiles, err := lockable(f, names)
	if err != nil {
		return err
	}
	var locked []lockedProfile
	var errs []error
	for _, p := range profiles {
		l, err := lockProfile(fsys, f, p, store)
		errs = append(errs, err)
		locked = append(locked, l)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range locked {
		if err := locked[i].write(opts.fleet); err != nil {
			return err
		}
	}
	return printLocked(w, locked, opts.output)
}

// lockable returns the profiles of the given names, or all that a site uses.
func lockable(f *fleet.Fleet, names []string) ([]*fleet.Profile, error) {
	all := slices.Sorted(maps.Keys(f.Profiles))
	var profiles []*fleet.Profile
	for _, name := range names {
		p := f.Profiles[name]
		if p == nil {
			return nil, &tipError{error: fmt.Errorf("no profile %s in the fleet", name), tip: near(name, all, "its profiles are")}
		}
		if len(sitesOf(f, p)) == 0 {
			return nil, fmt.Errorf("no site uses profile %s, so there is nothing to render", name)
		}
		profiles = append(profiles, p)
	}
	if len(names) > 0 {
		return profiles, nil
	}
	for _, name := range all {
		if p := f.Profiles[name]; len(sitesOf(f, p)) > 0 {
			profiles = append(profiles, p)
		}
	}
	return profiles, nil
}

func sitesOf(f *fleet.Fleet, p *fleet.Profile) []*fleet.Site {
	return slices.DeleteFunc(slices.Clone(f.Sites), func(s *fleet.Site) bool { return s.Profile.Name != p.Name })
}

// lockProfile resolves what the sites of a profile refer to.
func lockProfile(fsys fs.FS, f *fleet.Fleet, p *fleet.Profile, store *content.Store) (lockedProfile, error) {
	artifacts, images := map[string]string{}, map[string]string{}
	for _, site := range sitesOf(f, p) {
		desired, err := render.Host(fsys, &fleet.Host{Site: site})
		if err != nil {
			return lockedProfile{}, err
		}
		needs, err := needsOf(desired.Node.Distribution)
		if err != nil {
			return lockedProfile{}, fmt.Errorf("%s: %w", site.Dir, err)
		}
		for _, ref := range needs {
			artifacts[ref] = ""
		}
		maps.Copy(images, desired.Cluster.Images)
	}
	if err := errors.Join(resolve(store, p, artifacts), resolve(store, p, images)); err != nil {
		return lockedProfile{}, err
	}
	data, err := fleet.Lock{Distribution: artifacts, Images: images}.Marshal()
	return lockedProfile{
		Profile: p.Name, File: path.Join(p.Dir, contentLock), Distribution: len(artifacts), Images: len(images), data: data,
	}, err
}

func needsOf(distribution json.RawMessage) ([]string, error) {
	d, err := fleet.ParseDistribution(distribution)
	if err != nil {
		return nil, err
	}
	if err := bootstrap.Check(d); err != nil {
		return nil, err
	}
	return driverNeeds(d), nil
}

// resolve fills in the digests of refs.
func resolve(store *content.Store, p *fleet.Profile, refs map[string]string) error {
	var errs []error
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		digest, err := store.Digest(ref)
		if err != nil {
			err = fmt.Errorf("lock profile %s: %w", p.Name, err)
		}
		if errors.Is(err, content.ErrMissing) {
			err = &tipError{error: err, tip: "add it with \"holdfast content add\" (see --help)"}
		}
		errs = append(errs, err)
		refs[ref] = digest
	}
	return errors.Join(errs...)
}

func (l *lockedProfile) write(dir string) error {
	file := filepath.Join(dir, filepath.FromSlash(l.File))
	old, err := os.ReadFile(file)
	if err == nil && bytes.Equal(old, l.data) {
		return nil
	}
	l.Changed = true
	return durable.WriteFile(file, l.data, 0o644)
}

func printLocked(w io.Writer, locked []lockedProfile, output string) error {
	if output != "text" {
		return printAs(w, output, locked)
	}
	for _, l := range locked {
		what := "unchanged"
		if l.Changed {
			what = "written"
		}
		if _, err := fmt.Fprintf(w, "%s: %s of the distribution, %s: %s\n", l.File, counted(l.Distribution, "reference"), counted(l.Images, "image"), what); err != nil {
			return err
		}
	}
	return nil
}

// withoutLocks hides each profile's content.lock.
type withoutLocks struct{ fs.FS }

func (w withoutLocks) Open(name string) (fs.File, error) {
	if path.Base(name) == contentLock {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return w.FS.Open(name)
}

// unpinned has sites run their profiles as they are now, whatever they are pinned to.
type unpinned struct{ fs.FS }

// At is the fleet itself.
func (u unpinned) At(_, _ string) (fs.FS, error) { return u.FS, nil }
