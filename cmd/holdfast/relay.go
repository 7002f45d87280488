package main

import (
	"net"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/relay"
)

func newRelayCmd() *cobra.Command {
	var listen, servers string
	cmd := &cobra.Command{
		Use:    "relay",
		Short:  "Carry connections to whichever of several servers takes them",
		Hidden: true, // a unit of a worker runs it
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			r := relay.Relay{Listener: l, Servers: servers, Ready: relay.Readyz, Log: newLogger(cmd.ErrOrStderr(), "text", false)}
			return r.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "address and port to listen on")
	cmd.Flags().StringVar(&servers, "servers", "", "file with an address:port of a server a line")
	_ = cmd.MarkFlagRequired("listen")
	_ = cmd.MarkFlagRequired("servers")
	return cmd
}
