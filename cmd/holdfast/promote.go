package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
)

type promoteOptions struct {
	fleet, output  string
	profile, to    string
	labels, groups []string
	percent        int
	dryRun         bool
	message        string
}

func newPromoteCmd() *cobra.Command {
	var opts promoteOptions
	cmd := &cobra.Command{
		Use:   "promote --to TAG",
		Short: "Move the pins of selected sites to a tag, in one commit",
		Long: `Move the profile pins of selected sites to a signed tag: a wave. The pins are
written into each site.yaml and committed, and nothing else is; the commit is
signed as git is configured. Tag and commit must be ones that hosts take.

Sites are selected by profile, labels and groups, and by percentage: always the
same sites, and those of a smaller percentage are among those of a larger. A site
that has the pin already is left alone.`,
		Example: `  holdfast promote --to v1.4.0 --label ring=canary
  holdfast promote --to v1.4.0 --profile web-shop --group emea --percent 10 --dry-run
  holdfast promote --to v1.4.0 --percent 100`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPromote(cmd.OutOrStdout(), opts) },
	}
	f := cmd.Flags()
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	f.StringVar(&opts.to, "to", "", "signed tag (required)")
	f.StringVar(&opts.profile, "profile", "", "sites of this profile alone")
	f.StringArrayVarP(&opts.labels, "label", "l", nil, "sites with this label alone, as KEY=VALUE (may be repeated)")
	f.StringArrayVar(&opts.groups, "group", nil, "sites below this group alone, by its folder or name (may be repeated)")
	f.IntVar(&opts.percent, "percent", 100, "how many of a hundred of the sites")
	f.StringVarP(&opts.message, "message", "m", "", "message of the commit")
	f.BoolVar(&opts.dryRun, "dry-run", false, "say what would be done, and do nothing")
	_ = cmd.MarkFlagRequired("to")
	_ = cmd.RegisterFlagCompletionFunc("profile", completeProfiles)
	return cmd
}

// promoted is what a wave moves.
type promoted struct {
	Tag       string      `json:"tag"`
	Commit    string      `json:"commit"`             // that the tag names
	Sites     []movedSite `json:"sites"`              // whose pins move
	Unchanged int         `json:"unchanged"`          // selected sites that have the pin already
	Revision  string      `json:"revision,omitempty"` // the new commit
}

type movedSite struct {
	Site    string `json:"site"` // folder
	Profile string `json:"profile"`
	From    string `json:"from,omitempty"` // tag; none if the site had no pin
}

func runPromote(w io.Writer, opts promoteOptions) error {
	if opts.percent < 1 || opts.percent > 100 {
		return usagef("--percent is from 1 to 100, not %d", opts.percent)
	}
	by := fleet.Selection{Profile: opts.profile, Groups: opts.groups, Labels: map[string]string{}, Percent: opts.percent}
	for _, label := range opts.labels {
		key, value, err := parseLabel(label)
		if err != nil {
			return err
		}
		by.Labels[key] = value
	}
	f, err := loadFleet(opts.fleet)
	if err != nil {
		return err
	}
	sites := by.Of(f.Sites)
	if len(sites) == 0 {
		return &tipError{errors.New("no site is selected"), "look for labels and groups in sites/, or raise --percent"}
	}
	pin, err := pinOf(opts.fleet, opts.to)
	if err != nil {
		return err
	}
	e := editFleet(opts.fleet)
	wave, err := movePins(e, sites, pin)
	if err != nil {
		return err
	}
	if !opts.dryRun && len(wave.Sites) > 0 {
		if err := committed(opts.fleet, e.names()); err != nil {
			return err
		}
		names, err := e.write()
		if err != nil {
			return err
		}
		if wave.Revision, err = commitWave(opts, wave, names); err != nil {
			return errors.Join(err, undo(opts.fleet, names))
		}
	}
	return printPromoted(w, wave, opts)
}

// pinOf finds the commit that a tag names, and checks both as hosts do.
func pinOf(dir, tag string) (fleet.Pin, error) {
	out, err := runGit(dir, "", "rev-parse", "--verify", "--quiet", "--end-of-options", "refs/tags/"+tag+"^{commit}")
	if err != nil {
		return fleet.Pin{}, &tipError{fmt.Errorf("there is no tag %s here", tag), "git fetch --tags brings those of others; git tag -s " + tag + " makes it"}
	}
	pin := fleet.Pin{Tag: tag, Commit: strings.TrimSpace(out)}
	_, err = (&clonePins{dir: dir}).At(pin.Tag, pin.Commit)
	return pin, err
}

func movePins(e *fleetEdit, sites []*fleet.Site, pin fleet.Pin) (promoted, error) {
	wave := promoted{Tag: pin.Tag, Commit: pin.Commit, Sites: []movedSite{}}
	var errs []error
	for _, s := range sites {
		if s.Profile.Pin == pin {
			wave.Unchanged++
			continue
		}
		value := struct {
			Name   string `yaml:"name"`
			Tag    string `yaml:"tag"`
			Commit string `yaml:"commit"`
		}{s.Profile.Name, pin.Tag, pin.Commit}
		errs = append(errs, e.set(path.Join(s.Dir, "site.yaml"), value, "spec", "profile"))
		wave.Sites = append(wave.Sites, movedSite{s.Dir, s.Profile.Name, s.Profile.Pin.Tag})
	}
	return wave, errors.Join(errs...)
}

// committed refuses files with changes of somebody's own, which the commit would take along.
func committed(dir string, names []string) error {
	out, err := runGit(dir, "", "status", "--porcelain", "-z", "--untracked-files=all", "--", "sites")
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(out, "\x00") {
		if len(line) > 3 && slices.Contains(names, line[3:]) {
			return &tipError{fmt.Errorf("%s has changes that are not committed", line[3:]), "commit them first, or put them away with git stash"}
		}
	}
	return nil
}

// commitWave commits the files, and nothing that is staged besides.
func commitWave(opts promoteOptions, wave promoted, names []string) (string, error) {
	message := opts.message
	if message == "" {
		message = fmt.Sprintf("Move %s to %s", counted(len(wave.Sites), "site"), wave.Tag)
	}
	// By standard input: a wave may have more files than a command line takes.
	if _, err := runGit(opts.fleet, strings.Join(names, "\x00"), "commit", "--quiet", "--only", "-m", message, "--pathspec-from-file=-", "--pathspec-file-nul"); err != nil {
		return "", err
	}
	out, err := runGit(opts.fleet, "", "rev-parse", "HEAD")
	return strings.TrimSpace(out), err
}

// undo puts files back to what is committed.
func undo(dir string, names []string) error {
	_, err := runGit(dir, strings.Join(names, "\x00"), "checkout", "--quiet", "HEAD", "--pathspec-from-file=-", "--pathspec-file-nul")
	return err
}

// runGit runs git in a folder; its error says what git says.
func runGit(dir, stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, strings.Join(strings.Fields(said.String()), " "))
	}
	return string(out), err
}

func printPromoted(w io.Writer, wave promoted, opts promoteOptions) error {
	if opts.output != "text" {
		return printAs(w, opts.output, wave)
	}
	for _, s := range wave.Sites {
		from := "no pin"
		if s.From != "" {
			from = s.From
		}
		if _, err := fmt.Fprintf(w, "%s: %s, %s → %s\n", s.Site, s.Profile, from, wave.Tag); err != nil {
			return err
		}
	}
	what := "committed as " + fmt.Sprintf("%.12s", wave.Revision)
	switch {
	case len(wave.Sites) == 0:
		what = "nothing to commit"
	case opts.dryRun:
		what = "nothing was done: --dry-run"
	}
	_, err := fmt.Fprintf(w, "%s to %s (%.12s), %d already there; %s\n", counted(len(wave.Sites), "site"), wave.Tag, wave.Commit, wave.Unchanged, what)
	return err
}
