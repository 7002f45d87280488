package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/trust"
)

func newBundleCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Make and check Git bundles for sites without a network",
		Long: `Make and check Git bundles: a fleet and its history in one file, for sites without
a network. An agent takes what is new from the bundles in the folders that its
--bundles flags name; "git fetch FILE" reads them too.`,
		Example: "  holdfast bundle create /media/stick/fleet.bundle",
	}
	cmd.AddCommand(newBundleCreateCmd(), newBundleVerifyCmd(), newBundleInspectCmd())
	return cmd
}

type bundleOptions struct {
	fleet, ref string
	since      string // empty: all of the history
}

func newBundleCreateCmd() *cobra.Command {
	var opts bundleOptions
	cmd := &cobra.Command{
		Use:               "create FILE",
		Short:             "Write the fleet and its history to a bundle",
		Example:           "  holdfast bundle create /media/stick/fleet.bundle\n  holdfast bundle create /media/stick/march.bundle --since 8d1f7f0b9a3c",
		Args:              oneArgument,
		ValidArgsFunction: completeFiles("bundle"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBundleCreate(cmd, args[0], opts)
		},
	}
	addFleet(cmd, &opts.fleet)
	cmd.Flags().StringVar(&opts.ref, "ref", "main", "branch to write")
	cmd.Flags().StringVar(&opts.since, "since", "", "write only what came after this commit, which the hosts must have")
	return cmd
}

func runBundleCreate(cmd *cobra.Command, path string, opts bundleOptions) error {
	ctx, done := showProgress(cmd)
	err := writeBundle(ctx, path, opts)
	done()
	if err != nil {
		return err
	}
	info, err := gitsource.InspectBundle(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", path, describe(info))
	return err
}

// writeBundle replaces path when all of the bundle is on disk: a stick may be
// pulled at any time.
func writeBundle(ctx context.Context, path string, opts bundleOptions) error {
	if err := isFolder(filepath.Dir(path), "make it first, or mount the stick that it is on"); err != nil {
		return err
	}
	if err := isFolder(opts.fleet, "name the repository of the fleet"); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".bundle-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := gitsource.CreateBundle(ctx, tmp, opts.fleet, opts.ref, opts.since); err != nil {
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

func newBundleVerifyCmd() *cobra.Command {
	var anchor, output string
	cmd := &cobra.Command{
		Use:               "verify FILE",
		Short:             "Check that a bundle is whole and its tip signed by a key of the anchor",
		Example:           "  holdfast bundle verify fleet.bundle --anchor anchor",
		Args:              oneArgument,
		ValidArgsFunction: completeFiles("bundle"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBundleVerify(cmd, args[0], anchor, output)
		},
	}
	addAnchor(cmd, &anchor)
	addOutput(cmd, &output)
	return cmd
}

func runBundleVerify(cmd *cobra.Command, path, anchor, output string) error {
	keys, err := readAnchor(anchor)
	if err != nil {
		return err
	}
	ctx, done := showProgress(cmd)
	info, signer, err := gitsource.VerifyBundle(ctx, path, keys)
	done()
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if output != "text" {
		return printAs(w, output, struct {
			gitsource.BundleInfo
			Signer trust.Signer `json:"signer"`
		}{info, signer})
	}
	_, err = fmt.Fprintf(w, "%s: whole, %s, signed by %s\n", path, describe(info), signer.Name)
	return err
}

func newBundleInspectCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "inspect FILE",
		Short:             "Show what a bundle says of itself, trusting nothing",
		Example:           "  holdfast bundle inspect /media/stick/fleet.bundle -o json",
		Args:              oneArgument,
		ValidArgsFunction: completeFiles("bundle"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := gitsource.InspectBundle(args[0])
			if err != nil {
				return err
			}
			if output != "text" {
				return printAs(cmd.OutOrStdout(), output, info)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], describe(info))
			return err
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func describe(info gitsource.BundleInfo) string {
	refs := make([]string, len(info.Refs))
	for i, ref := range info.Refs {
		refs[i] = fmt.Sprintf("%s at %.12s", ref.Name, ref.Commit)
	}
	full := "full"
	if len(info.Prerequisites) > 0 {
		full = fmt.Sprintf("needs %s that it does not hold", strings.Join(info.Prerequisites, ", "))
	}
	return fmt.Sprintf("version %d, %d bytes, %s, %s", info.Version, info.Size, strings.Join(refs, ", "), full)
}
