package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

// serverLabel is that of the nodes of servers.
const serverLabel = "node-role.kubernetes.io/control-plane"

// node is what the API says of one.
type node struct {
	Metadata struct {
		Name, ResourceVersion, DeletionTimestamp string

		Labels     map[string]string
		Finalizers []string
	}
	Status struct {
		Addresses []struct{ Type, Address string }
	}
}

func (n node) address() string {
	for _, a := range n.Status.Addresses {
		if a.Type == "InternalIP" {
			return a.Address
		}
	}
	return ""
}

// follow asks for all nodes every second or so and does with them what is to be done, until ctx ends.
// What fails is done again.
func follow(ctx context.Context, a api, duties ...func(context.Context, []node) error) {
	for ctx.Err() == nil {
		if nodes, err := list[node](ctx, a, "/api/v1/nodes"); err == nil {
			for _, do := range duties {
				_ = do(ctx, nodes)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// neighbour is another node, as one knows it.
type neighbour struct {
	Address string `json:"address"`
	Server  bool   `json:"server"`
}

// roster is what a node knows of the others, also when it comes back and there is nobody to ask.
type roster struct {
	file    string
	pods    string // network of all
	address string // of the node itself
}

func newRoster(dir, pods, address string) roster {
	return roster{file: filepath.Join(dir, "nodes.json"), pods: pods, address: address}
}

func (r roster) known() (all []neighbour) {
	data, err := os.ReadFile(r.file)
	if err != nil || json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}

// servers are where the API of each known one is for nodes of other hosts.
func (r roster) servers() (found []string) {
	for _, n := range r.known() {
		if n.Server {
			found = append(found, n.Address+":"+forwards)
		}
	}
	return found
}

// note keeps who there is, and leads to their pods.
func (r roster) note(ctx context.Context, nodes []node) error {
	var all []neighbour
	for _, n := range nodes {
		if address := n.address(); address != "" && address != r.address {
			all = append(all, neighbour{Address: address, Server: n.Metadata.Labels[serverLabel] != ""})
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(r.file); err != nil || string(have) != string(data) {
		if err := durable.WriteFile(r.file, data, 0o600); err != nil {
			return err
		}
	}
	return r.lead(ctx)
}

// lead makes the routes to the pods of all that are known.
func (r roster) lead(ctx context.Context) error {
	var errs []error
	for _, n := range r.known() {
		pods, err := podsOf(r.pods, n.Address)
		if err == nil {
			err = route(ctx, pods, n.Address)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// podsOf is the network of the pods of the node at an address, so that nobody needs to hand them out:
// the one of the cluster's that has the same last number.
func podsOf(cidr, address string) (string, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", err
	}
	at, err := netip.ParseAddr(address)
	if err != nil {
		return "", err
	}
	if !prefix.Addr().Is4() || !at.Is4() {
		return "", fmt.Errorf("cluster-cidr %s and address %s must be of IPv4", cidr, address)
	}
	bytes, last := prefix.Masked().Addr().As4(), at.As4()[3]
	bytes[2] += last
	pods := netip.AddrFrom4(bytes)
	if prefix.Bits() > 24 || bytes[2] < last || !prefix.Contains(pods) {
		return "", fmt.Errorf("cluster-cidr %s has no network for the node at %s", cidr, address)
	}
	return netip.PrefixFrom(pods, 24).String(), nil
}

// route leads to pods on another host.
func route(ctx context.Context, pods, via string) error {
	if out, err := exec.CommandContext(ctx, "ip", "route", "replace", pods, "via", via).CombinedOutput(); err != nil {
		return fmt.Errorf("route to %s: %w: %s", pods, err, out)
	}
	return nil
}
