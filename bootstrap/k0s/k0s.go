// Package k0s makes a host a cluster of k0s, as https://docs.k0sproject.io has it
// for hosts without a network: the program, which installs its own unit, its
// configuration file, and its images as a bundle. Nothing is pulled.
//
// What is written here was checked against that documentation, see
// e2e/standin/documented, and not against the program.
package k0s

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// Kubeconfig is the administrator's, as the program writes it.
const Kubeconfig = "/var/lib/k0s/pki/admin.conf"

// Unit is the name of its unit, without .service.
const Unit = "k0scontroller"

const (
	data       = "/var/lib/k0s"
	configFile = "/etc/k0s/k0s.yaml"
)

// Config says what the node should be.
type Config struct {
	Dir      string // for the record and backups
	Programs string // folder with the program
	Images   string // folder with the bundle of its images
	Host     string // name of the node
	Network  system.Network
	Cluster  solo.Cluster
	Disable  []string // components that are not wanted

	Layers  map[string]string // images of the layers, reference → digest
	Archive containerd.Archive

	Registries containerd.Registries
	From       string       // folder that Backup wrote, which the cluster is to be made of; mostly empty
	Log        *slog.Logger // nil discards
}

// Minors lists the minor versions that the configuration here was written for.
func Minors() []string { return []string{"v1.35", "v1.36"} }

// Ensure makes the host a cluster as cfg says: see [solo.Ensure].
func Ensure(ctx context.Context, cfg Config) error {
	program := filepath.Join(cfg.Programs, "k0s")
	if !system.Exists(program) {
		return fmt.Errorf("the artifact of programs has no file k0s")
	}
	if err := os.MkdirAll(backups(cfg.Dir), 0o700); err != nil {
		return err
	}
	if err := cfg.Registries.Forget(registryHosts); err != nil { // containerd reads them at each pull
		return err
	}
	return solo.Ensure(ctx, solo.Config{
		Kind: kind(cfg.Dir), Dir: cfg.Dir, Program: program, Host: cfg.Host, Network: cfg.Network, Cluster: cfg.Cluster,
		Files:    func(address string) map[string]string { return files(cfg.Cluster, cfg.Registries, address) },
		Install:  func(address string) []string { return install(cfg, address) },
		Archives: cfg.Images, Layers: cfg.Layers, Archive: cfg.Archive, From: cfg.From, Log: cfg.Log,
	})
}

// Backup writes what the cluster is made of again into an empty folder: see [solo.Backup].
func Backup(ctx context.Context, dir, into string) error {
	return solo.Backup(ctx, kind(dir), dir, into)
}

// Stop ends the program and all pods, and keeps the data.
func Stop(ctx context.Context, dir string) error { return solo.Stop(ctx, kind(dir), dir) }

// Reset takes the node apart and removes what Ensure and the program made on the host, data included.
func Reset(ctx context.Context, dir string) error { return solo.Reset(ctx, kind(dir), dir) }

// backups have the cluster's keys in them, so nobody else looks into their folder.
func backups(dir string) string { return filepath.Join(dir, "backups") }

func kind(dir string) solo.Kind {
	return solo.Kind{
		Name: "k0s", Unit: Unit, Kubeconfig: Kubeconfig,
		Images: data + "/images", Record: data + "/containerd/holdfast-imports.json",
		List: func(program string) []string {
			return []string{program, "ctr", "--namespace", "k8s.io", "--address", "/run/k0s/containerd.sock", "images", "list", "-q"}
		},
		Snapshot: func(_, folder string) []string { return []string{"backup", "--save-path=" + folder} }, // it names the file by the time
		Restore: func(file string) []string { // the configuration that it had stays aside: the fleet says how it is now
			return []string{"restore", "--config-out=" + filepath.Join(dir, "restored.yaml"), file}
		},
		Afresh:     true,
		Shims:      data + "/bin/containerd-shim",
		Mounts:     []string{"/run/k0s", data + "/kubelet/pods", data + "/kubelet/plugins"},
		Interfaces: []string{"kube-bridge"},
		Reset:      []string{"reset"},
		Leaves:     []string{"/etc/k0s", "/run/k0s", data},
	}
}

// install are the words that make the unit: a controller that also works.
func install(cfg Config, address string) []string {
	words := []string{
		"install", "controller", "--force", "--enable-worker", "--no-taints", "--config=" + configFile,
		"--kubelet-extra-args=--hostname-override=" + cfg.Host + " --node-ip=" + address,
	}
	if len(cfg.Disable) > 0 {
		words = append(words, "--disable-components="+strings.Join(cfg.Disable, ","))
	}
	return words
}
