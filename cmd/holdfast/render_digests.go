package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// hostDigests is what one host reports when it runs what it should.
type hostDigests struct {
	Site string `json:"site"`
	Host string `json:"host,omitempty"` // empty for a site without hosts
	render.Digests
}

func printDigests(w io.Writer, f *openedFleet, chosen []named, output string) error {
	sites := make([]*fleet.Site, len(chosen))
	for i, c := range chosen {
		sites[i] = c.site
	}
	digests, err := f.Digests(sites)
	if err != nil {
		return err
	}
	list := []hostDigests{}
	for i, c := range chosen {
		hosts := c.site.Hosts
		if c.host != nil {
			hosts = []*fleet.Host{c.host}
		}
		for _, h := range hosts {
			list = append(list, hostDigests{c.site.Name, h.Name, digests[i]})
		}
		if len(hosts) == 0 {
			list = append(list, hostDigests{Site: c.site.Name, Digests: digests[i]})
		}
	}
	if output != "text" {
		return printAs(w, output, list)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SITE\tHOST\tCLUSTER\tNODE")
	for _, d := range list {
		host := d.Host
		if host == "" {
			host = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", d.Site, host, d.Cluster, d.Node)
	}
	return table.Flush()
}
