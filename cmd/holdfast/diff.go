package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/review"
)

type diffOptions struct {
	fleet, output string
	exitCode      bool
	server        serverOptions
}

func newDiffCmd() *cobra.Command {
	var opts diffOptions
	cmd := &cobra.Command{
		Use:   "diff [BASE..HEAD | BASE]",
		Short: "Show what every host will do differently",
		Long: `Show what every host will do differently at HEAD than at BASE, rendered by the
code that runs on the hosts. Identical changes are shown once, with all hosts that
they are for. BASE...HEAD compares with where HEAD left BASE; BASE alone compares
with the working tree. The default is from where HEAD left the default branch
(origin/HEAD, main or master) to the working tree, or to HEAD if all is committed.

What the trailers Allow-Prune, Allow-Recreate and Allow-Downgrade of the commits
between allow is heeded; of what they do not allow, hosts hold back what is precious,
and versions of Kubernetes that hosts would not go to are refused.

With --server, it starts a real API server, which nobody else can reach, and applies
what sites run at BASE and then at HEAD, as hosts do: so defaults, validation rules,
admission policies (policies/*.yaml of the fleet, and those in layers), fields that
cannot be changed and objects that come too early show here. Each different
rendering gets a server of its own, of up to --server-limit, those first that
together show all changes. It needs no root. If the server refuses at HEAD what it
did not refuse at BASE, the command exits with 1, also with --exit-code=false.

Exit codes, as of diff and "kubectl diff": 0 nothing changes on any host, 1 something
does, 2 it cannot be said. With --exit-code=false, changes exit with 0 too.

Text has colours on a terminal, unless NO_COLOR is set, and is shown by $PAGER if
it is long. Markdown is a comment on a pull request, of at most 60,000 characters.
HTML is one page with search and filters, of at most 17 MiB, that loads nothing.`,
		Example: `  holdfast diff                              # the pull request that is checked out
  holdfast diff main..topic -o markdown
  holdfast diff main..topic -o html > changes.html
  holdfast diff main...topic && echo "no host notices"
  holdfast diff HEAD~3 -o json | jq '.groups[] | select(.danger)'
  holdfast diff --server --server-programs build/embedded`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.server.check(cmd); err != nil {
				return err
			}
			opts.server.progress, _ = showLine(cmd)
			changes, err := runDiff(cmd.Context(), cmd.OutOrStdout(), strings.Join(args, ""), opts)
			var refused refusals
			switch {
			case errors.As(err, &refused):
				return err
			case err != nil:
				return trouble{err}
			case changes && opts.exitCode:
				return exitCode(1)
			}
			return nil
		},
	}
	addFleet(cmd, &opts.fleet)
	addChoice(cmd, "output", "o", choice{&opts.output, "output format", []string{"text", "json", "yaml", "markdown", "html"}})
	cmd.Flags().BoolVar(&opts.exitCode, "exit-code", true, "say by exit code whether something changes")
	addServer(cmd, &opts.server)
	return cmd
}

// runDiff reports whether something changes.
func runDiff(ctx context.Context, w io.Writer, what string, opts diffOptions) (changed bool, err error) {
	if err := isFolder(opts.fleet, fleetTip); err != nil {
		return false, err
	}
	hurry()
	audit, err := gitsource.OpenAudit(opts.fleet, nil)
	if err != nil {
		return false, err
	}
	d := &differ{audit: audit, git: clone(opts.fleet), dir: opts.fleet, server: opts.server}
	if err := d.choose(ctx, what); err != nil {
		return false, err
	}
	changes, err := d.changes(ctx)
	if err != nil {
		return false, err
	}
	if err := printChanges(ctx, w, &changes, opts.output); err != nil {
		return false, err
	}
	if n := changes.Server.Refusals(); n > 0 {
		return true, refusals(n)
	}
	return !changes.Empty(), nil
}

// differ compares two states of a clone; an empty head is the working tree.
type differ struct {
	audit  *gitsource.Audit
	git    clone
	dir    string
	server serverOptions

	onto, base, head string // onto is what head would be merged into
}

// choose finds out what is compared with what.
func (d *differ) choose(ctx context.Context, what string) (err error) {
	base, head, ranged := strings.Cut(what, "..")
	head, forked := strings.CutPrefix(head, ".")
	if ranged && head == "" {
		head = "HEAD"
	}
	if base == "" {
		forked = true
		if base, err = d.defaultBranch(); err != nil {
			return err
		}
	}
	if head == "" {
		if said, err := d.git.run(ctx, "rev-parse", "--is-inside-work-tree"); err == nil && said == "false" {
			return &tipError{errors.New("a bare repository has no working tree"), "name both that are compared: holdfast diff BASE..HEAD"}
		}
	}
	if what == "" {
		said, err := d.git.run(ctx, "status", "--porcelain")
		if err != nil {
			return err
		}
		if said == "" {
			head = "HEAD"
		}
	}
	if d.onto, err = d.audit.Resolve(base); err != nil {
		return err
	}
	d.base = d.onto
	if head != "" {
		if d.head, err = d.audit.Resolve(head); err != nil {
			return err
		}
	}
	if forked {
		d.base, err = d.audit.Fork(base, cmp.Or(head, "HEAD"))
	}
	return err
}

func (d *differ) defaultBranch() (string, error) {
	for _, name := range []string{"origin/HEAD", "origin/main", "origin/master", "main", "master"} {
		if _, err := d.audit.Resolve(name); err == nil {
			return name, nil
		}
	}
	return "", &tipError{errors.New("there is no default branch here"), "name what to compare: holdfast diff BASE..HEAD"}
}

func (d *differ) changes(ctx context.Context) (review.Changes, error) {
	base, err := d.commit(d.base)
	if err != nil {
		return review.Changes{}, err
	}
	head, paths, err := d.tip(ctx)
	if err != nil {
		return review.Changes{}, err
	}
	store := openMemo()
	defer keepFound(store)
	options := reviewOptions(store)
	if options.Allow, err = d.allowed(ctx); err != nil {
		return review.Changes{}, err
	}
	changes, err := review.Diff(base, head, paths, options)
	if err != nil {
		return changes, err
	}
	if d.server.wanted {
		if err := d.server.try(ctx, &changes, review.Trial{Base: base, Head: head, Paths: paths, Options: options}); err != nil {
			return changes, err
		}
	}
	if d.head != "" && len(paths) > 0 {
		changes.Approvals = d.approvals()
	}
	return changes, nil
}

// allowed is what the commits of head allow that base has not, on the line that
// hosts follow.
func (d *differ) allowed(ctx context.Context) (fleet.Permits, error) {
	head := d.head
	if head == "" {
		head = "HEAD"
	}
	said, err := d.git.run(ctx, "log", "--first-parent", "-z", "--format=%H%n%B", d.base+".."+head)
	if err != nil {
		return fleet.Permits{}, err
	}
	var messages []gitsource.Message
	for one := range strings.SplitSeq(said, "\x00") {
		commit, text, _ := strings.Cut(one, "\n")
		messages = append(messages, gitsource.Message{Commit: commit, Text: text})
	}
	return reconciler.Intents(messages), nil
}

func (d *differ) commit(name string) (review.State, error) {
	fsys, err := d.audit.Tree(name)
	if err != nil {
		return review.State{}, err
	}
	pins, err := d.audit.Pins(name)
	return review.State{Name: name, FS: fsys, Pins: pins}, err
}

// tip returns the newer state, and the files that differ from the older one.
func (d *differ) tip(ctx context.Context) (review.State, []string, error) {
	if d.head != "" {
		head, err := d.commit(d.head)
		if err != nil {
			return head, nil, err
		}
		paths, err := d.audit.Changed(d.base, d.head)
		return head, paths, err
	}
	var paths []string
	for _, args := range [][]string{
		{"diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", d.base},
		{"ls-files", "--others", "--exclude-standard", "--full-name", "-z"},
	} {
		said, err := d.git.run(ctx, args...)
		if err != nil {
			return review.State{}, nil, err
		}
		paths = append(paths, strings.FieldsFunc(said, func(r rune) bool { return r == 0 })...)
	}
	slices.Sort(paths)
	pins, err := d.audit.Pins("HEAD")
	return review.State{Name: "the working tree", FS: memo.Dir(d.dir), Pins: pins}, paths, err
}

// approvals says what hosts think of a merge.
func (d *differ) approvals() *review.Approval {
	v, err := d.audit.Merged(d.onto, d.head)
	if err != nil {
		return &review.Approval{State: "unknown", Reason: err.Error()}
	}
	a := &review.Approval{State: state(v), Reason: v.Reason}
	for _, need := range v.Needs {
		if need.Missing() > 0 {
			a.Needs = append(a.Needs, describeNeed(need, v.Waits))
		}
	}
	return a
}

func printChanges(ctx context.Context, w io.Writer, c *review.Changes, output string) error {
	switch output {
	case "markdown":
		return c.Markdown(w)
	case "html":
		return c.HTML(w)
	case "json", "yaml":
		return printAs(w, output, c)
	}
	screen := screenOf(w)
	var text bytes.Buffer
	if err := c.Text(&text, screen.colour()); err != nil {
		return err
	}
	if bytes.Count(text.Bytes(), []byte("\n")) >= screen.rows && screen.rows > 0 {
		if err := page(ctx, w, &text); err == nil {
			return nil
		}
	}
	_, err := io.Copy(w, &text)
	return err
}
