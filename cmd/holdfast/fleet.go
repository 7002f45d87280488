package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/render"
)

// loadFleet loads the fleet in dir.
func loadFleet(dir string) (*fleet.Fleet, error) {
	if err := isFolder(dir, fleetTip); err != nil {
		return nil, err
	}
	return fleet.LoadWith(os.DirFS(dir), fleet.Options{Pins: &clonePins{dir: dir}})
}

// clonePins finds what is pinned in the history of a clone, from HEAD back. The
// clone is opened when there is a pin.
type clonePins struct {
	dir  string
	pins *gitsource.Pins
}

// At is as of [gitsource.Pins].
func (c *clonePins) At(tag, commit string) (fs.FS, error) {
	if c.pins == nil {
		audit, err := gitsource.OpenAudit(c.dir, nil)
		if err != nil {
			return nil, err
		}
		if c.pins, err = audit.Pins("HEAD"); err != nil {
			return nil, err
		}
	}
	return c.pins.At(tag, commit)
}

// openedFleet is a fleet, and what renders it fast: what earlier runs kept, and workers.
type openedFleet struct {
	*fleet.Fleet
	*render.Renderer
	store *memo.Store
}

// openFleet loads the fleet in dir to be rendered. It is closed after use.
func openFleet(dir string) (*openedFleet, error) {
	if err := isFolder(dir, fleetTip); err != nil {
		return nil, err
	}
	hurry()
	o := &openedFleet{store: openMemo()}
	fsys := memo.Dir(dir)
	load := fleet.Options{Pins: &clonePins{dir: dir}}
	fast := render.Options{Worker: renderWorkerCmd}
	if o.store != nil {
		load.Memo, fast.Memo = o.store, o.store
	}
	var err error
	if o.Fleet, err = fleet.LoadWith(fsys, load); err != nil {
		keepFound(o.store)
		return nil, err
	}
	o.Renderer = render.New(fsys, fast)
	return o, nil
}

// Close keeps for the next run what this one found out.
func (o *openedFleet) Close() {
	o.Renderer.Close()
	keepFound(o.store)
}

// keepFound writes what this run found out. If it cannot, the next one takes as long,
// and this one is as right as it was.
func keepFound(store *memo.Store) {
	if err := store.Close(); err != nil {
		fmt.Fprintf(os.Stderr, "holdfast: %s: nothing is kept for the next run\n", err)
	}
}

const fleetTip = "name the folder that has fleet.yaml in it"

// isFolder says at once what else would be said of a file below dir.
func isFolder(dir, tip string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &tipError{error: fmt.Errorf("%s: no such folder", dir), tip: tip}
	case err != nil:
		return err
	case !info.IsDir():
		return &tipError{error: fmt.Errorf("%s: not a folder", dir), tip: tip}
	}
	return nil
}

// siteNamed finds a site by its path or its name.
func siteNamed(f *fleet.Fleet, name string) (*fleet.Site, error) {
	name = strings.TrimSuffix(name, "/")
	var dirs []string
	for _, s := range f.Sites {
		if s.Dir == name || s.Name == name { // both are unique in a fleet that loads
			return s, nil
		}
		dirs = append(dirs, s.Dir)
	}
	err := &tipError{error: fmt.Errorf("no site %s in the fleet", name), tip: "it has no sites yet: write sites/<site>/site.yaml first"}
	if len(dirs) > 0 {
		err.tip = near(name, dirs, "its sites are")
	}
	return nil, err
}

// names lists all hosts and sites.
func names(f *fleet.Fleet) []string {
	var all []string
	for _, s := range f.Sites {
		all = append(all, s.Name)
		for _, h := range s.Hosts {
			all = append(all, h.Name)
		}
	}
	return all
}

// completeWith completes from the fleet that the flag --fleet names.
func completeWith(cmd *cobra.Command, list func(f *fleet.Fleet) []string) ([]string, cobra.ShellCompDirective) {
	dir, err := cmd.Flags().GetString("fleet")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	f, err := loadFleet(dir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return list(f), cobra.ShellCompDirectiveNoFileComp
}

func completeNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeWith(cmd, names)
}

func completeSites(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completeWith(cmd, func(f *fleet.Fleet) []string {
		var dirs []string
		for _, s := range f.Sites {
			dirs = append(dirs, s.Dir)
		}
		return dirs
	})
}

func completeProfiles(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completeWith(cmd, func(f *fleet.Fleet) []string {
		var profiles []string
		for name := range f.Profiles {
			profiles = append(profiles, name)
		}
		return profiles
	})
}

func completeLayers(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completeWith(cmd, func(f *fleet.Fleet) []string {
		var layers []string
		for _, p := range f.Profiles {
			for _, l := range p.Layers {
				layers = append(layers, l.Name)
			}
		}
		return layers
	})
}

func completeFolder(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeFiles completes names of files with the given endings.
func completeFiles(endings ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return endings, cobra.ShellCompDirectiveFilterFileExt
	}
}
