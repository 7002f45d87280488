package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/content"
)

const defaultStore = defaultDataDir + "/content"

func newContentCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "content",
		Short: "Fill and check a store of images and files",
		Long: `Fill and check a store of images and files: an OCI image layout in a folder, in
which everything is known by its digest. Hosts install from theirs and need no
registry; "holdfast lock" finds in one what a profile's references mean.`,
		Example: "  holdfast content list --store build/content",
	}
	cmd.AddCommand(newContentAddCmd(), newContentListCmd(), newContentVerifyCmd())
	return cmd
}

type contentAddOptions struct {
	store   string
	archive string
	program bool
	output  string
}

func newContentAddCmd() *cobra.Command {
	var opts contentAddOptions
	cmd := &cobra.Command{
		Use:   "add REF FILE... | add --program REF FILE | add --archive FILE",
		Short: "Add files, a program's image, an archive of images or another store",
		Long: `Add files as one artifact named REF; with --program, an image that runs one
static Linux program; with --archive, the images of a tar file as "docker save"
and OCI tools write it, under the names they have in it, or all that another store
has, such as that on a stick. A store that is missing is made.

The same bytes give the same digest, wherever and whenever they are added.`,
		Example: `  holdfast content add holdfast.dev/kubernetes/linux-amd64:v1.36.3 build/kube build/etcd
  holdfast content add --program holdfast.dev/example/web:1.0.0 build/web
  holdfast content add --archive images.tar --store build/content
  holdfast content add --archive /media/stick/content                  # at a site: what was brought`,
		RunE: func(cmd *cobra.Command, args []string) error { return runContentAdd(cmd.OutOrStdout(), args, opts) },
	}
	addStore(cmd, &opts.store)
	cmd.Flags().StringVar(&opts.archive, "archive", "", "tar file of images, or folder of another store")
	cmd.Flags().BoolVar(&opts.program, "program", false, "make an image that runs the one file given")
	addOutput(cmd, &opts.output)
	cmd.MarkFlagsMutuallyExclusive("archive", "program")
	_ = cmd.MarkFlagFilename("archive")
	return cmd
}

func runContentAdd(w io.Writer, args []string, opts contentAddOptions) error {
	switch {
	case opts.archive != "" && len(args) > 0:
		return usagef("an archive names its images itself: give no reference")
	case opts.archive == "" && len(args) < 2:
		return usagef("give a reference and the files to add under it")
	case opts.program && len(args) > 2:
		return usagef("an image runs one program: give one file")
	}
	store, err := content.Open(opts.store)
	if err != nil {
		return err
	}
	var added []content.Entry
	if opts.archive != "" {
		added, err = store.AddArchive(opts.archive)
	} else {
		added, err = addFiles(store, args[0], args[1:], opts.program)
	}
	if err != nil {
		return err
	}
	return printEntries(w, added, opts.output)
}

func addFiles(store *content.Store, ref string, files []string, program bool) ([]content.Entry, error) {
	var digest string
	var err error
	if program {
		digest, err = store.AddProgram(ref, files[0])
	} else {
		digest, err = store.AddFiles(ref, files)
	}
	if err != nil {
		return nil, err
	}
	entries, err := store.List()
	for _, e := range entries {
		if e.Digest == digest && sameName(e.Ref, ref) {
			return []content.Entry{e}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("%s was replaced at once", ref), err)
}

// sameName says whether a store keeps what was added as ref under the name kept.
func sameName(kept, ref string) bool {
	return kept == ref || kept == ref+":latest"
}

func newContentListCmd() *cobra.Command {
	var store, output string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show what a store has",
		Example: `  holdfast content list -o json | jq -r '.[].ref'`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runContentList(cmd.OutOrStdout(), store, output)
		},
	}
	addStore(cmd, &store)
	addOutput(cmd, &output)
	return cmd
}

func runContentList(w io.Writer, dir, output string) error {
	store, err := openStore(dir)
	if err != nil {
		return err
	}
	entries, err := store.List()
	return errors.Join(printEntries(w, entries, output), err)
}

func newContentVerifyCmd() *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:     "verify [REF...]",
		Short:   "Read a store's bytes and compare them with their digests",
		Long:    "Read all that the store has, or what is named, and compare it with its digests.",
		Example: `  holdfast content verify --store /media/stick/content`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runContentVerify(cmd.OutOrStdout(), store, args)
		},
	}
	addStore(cmd, &store)
	return cmd
}

func runContentVerify(w io.Writer, dir string, refs []string) error {
	store, err := openStore(dir)
	if err != nil {
		return err
	}
	if len(refs) == 0 {
		entries, _ := store.List() // what is damaged is found below, and named
		for _, e := range entries {
			refs = append(refs, e.Ref)
		}
	}
	var bad []error
	for _, ref := range refs {
		digest, err := store.Digest(ref)
		if err == nil {
			err = store.Verify(digest)
		}
		if err != nil {
			bad = append(bad, &tipError{error: err, tip: fmt.Sprintf("add %s again", ref)})
			continue
		}
		fmt.Fprintln(w, "good", ref, digest)
	}
	return errors.Join(bad...)
}

// openStore opens a store that must be there.
func openStore(dir string) (*content.Store, error) {
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); errors.Is(err, fs.ErrNotExist) {
		return nil, &tipError{
			error: fmt.Errorf("%s is no content store", dir),
			tip:   "fill one with \"holdfast content add\", or say where it is with --store",
		}
	}
	return content.Open(dir)
}

func printEntries(w io.Writer, entries []content.Entry, output string) error {
	if output != "text" {
		return printAs(w, output, entries)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range entries {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", e.Ref, e.Kind, sizeText(e.Size), e.Digest)
	}
	return tw.Flush()
}

// sizeText writes a number of bytes as people read it.
func sizeText(bytes int64) string {
	switch {
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	case bytes < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
