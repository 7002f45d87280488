package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersionCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Example: "  holdfast version -o json | jq -r .version",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runVersion(cmd.OutOrStdout(), output) },
	}
	addOutput(cmd, &output)
	return cmd
}

func runVersion(w io.Writer, output string) error {
	v := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if output == "text" {
		_, err := fmt.Fprintf(w, "holdfast %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
		return err
	}
	return printAs(w, output, v)
}
