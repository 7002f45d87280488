package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

func newBundleCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Make and check Git bundles for sites without a network",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleCreateCmd(), newBundleVerifyCmd(), newBundleInspectCmd())
	return cmd
}

func newBundleCreateCmd() *cobra.Command {
	var fleet, ref string
	cmd := &cobra.Command{
		Use:     "create FILE",
		Short:   "Write the fleet and its history to a bundle",
		Example: "  holdfast bundle create /media/stick/fleet.bundle",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBundleCreate(cmd.Context(), cmd.OutOrStdout(), args[0], fleet, ref)
		},
	}
	cmd.Flags().StringVar(&fleet, "fleet", ".", "repository of the fleet")
	cmd.Flags().StringVar(&ref, "ref", "main", "branch to write")
	return cmd
}

func runBundleCreate(ctx context.Context, w io.Writer, path, fleet, ref string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".bundle-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := gitsource.CreateBundle(ctx, tmp, fleet, ref); err != nil {
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
	info, err := gitsource.InspectBundle(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %s\n", path, describe(info))
	return err
}

func newBundleVerifyCmd() *cobra.Command {
	var anchor string
	cmd := &cobra.Command{
		Use:     "verify FILE",
		Short:   "Check that a bundle is whole and its tip signed by a key of the anchor",
		Example: "  holdfast bundle verify fleet.bundle --anchor anchor",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBundleVerify(cmd.Context(), cmd.OutOrStdout(), args[0], anchor)
		},
	}
	cmd.Flags().StringVar(&anchor, "anchor", "", "file of keys, as for holdfast agent (required)")
	_ = cmd.MarkFlagRequired("anchor")
	return cmd
}

func runBundleVerify(ctx context.Context, w io.Writer, path, anchor string) error {
	keys, err := readAnchor(anchor)
	if err != nil {
		return err
	}
	info, signer, err := gitsource.VerifyBundle(ctx, path, keys)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: whole, %s, signed by %s\n", path, describe(info), signer.Name)
	return err
}

func newBundleInspectCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a bundle says of itself, trusting nothing",
		Args:  cobra.ExactArgs(1),
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
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json or yaml")
	return cmd
}

func describe(info gitsource.BundleInfo) string {
	refs := make([]string, len(info.Refs))
	for i, ref := range info.Refs {
		refs[i] = fmt.Sprintf("%s at %.12s", ref.Name, ref.Commit)
	}
	full := "full"
	if len(info.Prerequisites) > 0 {
		full = fmt.Sprintf("needs %d commits that it does not hold", len(info.Prerequisites))
	}
	return fmt.Sprintf("version %d, %d bytes, %s, %s", info.Version, info.Size, strings.Join(refs, ", "), full)
}
