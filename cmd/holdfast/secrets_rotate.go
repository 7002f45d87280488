package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/secrets"
)

type rotateOptions struct {
	fleet string
	keys  []string // files
}

func newSecretsRotateCmd() *cobra.Command {
	var opts rotateOptions
	cmd := &cobra.Command{
		Use:   "rotate [FILE...]",
		Short: "Encrypt secrets anew, to the recipients of .sops.yaml",
		Long: `Encrypt secrets (default: all of the fleet) with a new data key to the recipients
that the nearest .sops.yaml names for them now. So a new host can open them, and one
that is gone cannot open what comes after; what it knew already, change. If one
cannot be rotated, none is written.`,
		Example: `  holdfast secrets rotate
  holdfast secrets rotate bases/registry/password.yaml --identity ~/keys.txt`,
		RunE: func(cmd *cobra.Command, args []string) error { return runRotate(cmd.OutOrStdout(), args, opts) },
	}
	addFleet(cmd, &opts.fleet)
	addIdentity(cmd, &opts.keys)
	return cmd
}

func runRotate(w io.Writer, files []string, opts rotateOptions) error {
	if len(files) == 0 {
		if err := isFolder(opts.fleet, fleetTip); err != nil {
			return err
		}
		err := secrets.Find(os.DirFS(opts.fleet), ".", nil, func(name string, _ []byte) {
			files = append(files, filepath.Join(opts.fleet, filepath.FromSlash(name)))
		})
		if err != nil {
			return err
		}
	}
	ids, err := identities(opts.keys)
	if err != nil {
		return err
	}
	rotated := make([][]byte, len(files))
	rules := make([]secrets.Rule, len(files))
	var errs []error
	for i, file := range files {
		if rotated[i], rules[i], err = rotate(file, ids); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(file, rotated[i], info.Mode().Perm()); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: a new key, for %s\n", file, counted(len(rules[i].Recipients), "recipient"))
	}
	return nil
}

func rotate(file string, ids []secrets.Identity) ([]byte, secrets.Rule, error) {
	data, err := readSmall(file)
	if err != nil {
		return nil, secrets.Rule{}, err
	}
	doc, err := secrets.Parse(file, data)
	if err != nil {
		return nil, secrets.Rule{}, err
	}
	rule, err := ruleFor(file)
	if err != nil {
		return nil, rule, err
	}
	plain, err := doc.Open(ids...)
	if err != nil {
		return nil, rule, err
	}
	rotated, err := plain.Rotate(rule, time.Now())
	return rotated, rule, err
}
