// Command makefleet writes the benchmark's fleet: makefleet --sites 10000 DIR.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/holdfast-fleet/holdfast/fleet/fleettest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "makefleet:", err)
		os.Exit(1)
	}
}

func run() error {
	var f fleettest.Fleet
	flag.IntVar(&f.Sites, "sites", 10_000, "how many sites")
	flag.BoolVar(&f.WholeLayers, "whole-layers", false, "variables in all objects of 3 of 10 layers, not in 3 of 10 objects of every layer")
	flag.Parse()
	dir := flag.Arg(0)
	if flag.NArg() != 1 || dir == "" {
		return errors.New("name the folder to write to")
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	return f.Write(dir)
}
