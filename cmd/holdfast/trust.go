package main

import "github.com/spf13/cobra"

func newTrustCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "trust",
		Short:   "See to what this host trusts",
		Example: "  holdfast trust reset --to 8d1f7f0b9a3c5e6d7f8091a2b3c4d5e6f7a8b9c0",
	}
	cmd.AddCommand(newTrustResetCmd())
	return cmd
}
