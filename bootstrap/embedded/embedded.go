// Package embedded runs upstream Kubernetes as child processes of one small
// supervisor, from the programs that the folder kube beside it builds.
//
// All of it lives in one directory of the host:
//
//	etc/         configuration, rendered from [Config] alone
//	pki/         authorities, certificates and keys (0600) of this host's own
//	kubeconfig/  who may talk to the API as whom (0600)
//	data/        etcd, containerd, the kubelet and the pods' addresses: what a restart keeps
//	log/         a file a process, of bounded size
//	run/         the supervisor's lock, process ids and sockets
//
// What upstream puts elsewhere whatever it is told: /var/lib/kubelet/device-plugins
// (a socket nobody uses), /var/lib/cni and /var/log/containers (removed by [Reset]).
//
// The API listens on loopback only. Pods cannot reach loopback, so the Service
// "kubernetes" has no endpoints and pods cannot talk to the API. The kubelet
// listens on the address of the pods' bridge, which is the node's.
//
// A full node needs root, the cgroups of the machine at /sys/fs/cgroup, and
// nft. It works in network, pid and mount namespaces of its own if /proc is
// that of the pid namespace; "ip netns exec" hides the cgroups, "nsenter
// --net=" does not. One full node can run in one network namespace.
package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/durable"
)

// Config says what one node should be. The zero value of an optional field
// means its default.
type Config struct {
	Dir          string // required; absolute
	Bin          string // required: the folder with the programs
	Host         string // required: name of the node
	ControlPlane bool   // the API alone; needs no root
	Trial        bool   // to try objects on; see trial.go. Means ControlPlane
	PodCIDR      string // default 10.244.0.0/24
	ServiceCIDR  string // default 10.96.0.0/16
	APIPort      int    // 0 chooses a free port, once

	Pause   string             // image of a full node's pods: repository@digest
	Images  map[string]string  // reference → digest, imported before pods need them
	Archive containerd.Archive // where they come from; required with Images

	Server   string           // URL of another node's API, which this one joins, with certificates of its authority in DIR/pki; empty: it has its own
	Address  string           // of the node; default that of the pods' bridge
	Member   *Member          // its etcd is one of several; nil: it is alone
	Bridge   string           // of the pods; default one of this node alone
	Lifeline bool             // the node ends with this process
	Now      func() time.Time // the clock that certificates are dated by; nil: the machine's
	Log      *slog.Logger     // nil discards
}

const (
	maxDir  = 36 // bytes, of a node with pods: containerd takes 42 for DIR/run/s, so that the kernel takes the sockets in it
	dirMode = 0o700
)

// Ensure makes the node what cfg says, starts it if it does not run, and
// returns the path of the agent's kubeconfig once the API is ready and, on a
// full node, the node is Ready. What has not changed keeps running.
func Ensure(ctx context.Context, cfg Config) (string, error) {
	n, err := layOut(cfg)
	if err != nil {
		return "", err
	}
	if n.upToDate() && n.healthy(ctx) == nil {
		return n.kubeconfig(n.agent()), nil
	}
	began := time.Now()
	if err := n.run(ctx); err != nil {
		return "", fmt.Errorf("start Kubernetes in %s: %w", cfg.Dir, err)
	}
	n.log.Info("kubernetes is ready", "port", n.ports.API, "took", time.Since(began).Round(time.Millisecond))
	return n.kubeconfig(n.agent()), nil
}

// node is a Config with all that follows from it.
type node struct {
	Config
	log     *slog.Logger
	ports   ports
	service string // address of the Service "kubernetes"
	address string // of the node, with the prefix length of the pods' network
	desired []byte // etc/node.json
	spec    nodeFile
}

// layOut renders everything below the directory but etc/node.json, which is
// what the supervisor acts on.
func layOut(cfg Config) (*node, error) {
	n := &node{Config: cfg, log: cfg.Log}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.Now == nil {
		n.Now = time.Now
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"", "etc", "pki", "kubeconfig", "data", "log", "run"} {
		if err := os.MkdirAll(n.path(dir), dirMode); err != nil {
			return nil, err
		}
	}
	var err error
	if n.ports, err = choosePorts(n.path("etc"), n.APIPort); err != nil {
		return nil, err
	}
	if n.Server == "" {
		if err := ensurePKI(n.path("pki"), n.certificates(), n.Now()); err != nil {
			return nil, err
		}
	}
	if err := n.writeKubeconfigs(); err != nil {
		return nil, err
	}
	if err := n.writeFiles(n.files()); err != nil {
		return nil, err
	}
	n.spec, err = n.render(n.processes())
	if err != nil {
		return nil, err
	}
	n.desired, err = json.MarshalIndent(n.spec, "", "  ")
	return n, err
}

func (n *node) check() error {
	n.ControlPlane = n.ControlPlane || n.Trial
	if !filepath.IsAbs(n.Dir) || !n.ControlPlane && len(n.Dir) > maxDir {
		return fmt.Errorf("directory %s: must be absolute and at most %d bytes, for sockets below it", n.Dir, maxDir)
	}
	if n.Host == "" || n.Bin == "" {
		return errors.New("host name and programs are required")
	}
	if n.PodCIDR == "" {
		n.PodCIDR = "10.244.0.0/24"
	}
	if n.ServiceCIDR == "" {
		n.ServiceCIDR = "10.96.0.0/16"
	}
	var err error
	if n.service, _, err = firstAddress(n.ServiceCIDR); err != nil {
		return fmt.Errorf("service network: %w", err)
	}
	if _, n.address, err = firstAddress(n.PodCIDR); err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	if n.Member != nil && n.Address == "" {
		return errors.New("an etcd that others reach needs the node's address")
	}
	if n.ControlPlane {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("a node that runs pods needs root; the control plane alone does not")
	}
	if n.Pause == "" {
		return errors.New("a node that runs pods needs the pause image")
	}
	return nil
}

func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.Dir}, parts...)...)
}

func (n *node) writeFiles(files map[string]string) error {
	for name, text := range files {
		path := n.path("etc", name)
		if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
			return err
		}
		if err := writeIfNew(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// render gives each process the digest of the files it reads.
func (n *node) render(processes []process) (nodeFile, error) {
	spec := nodeFile{Dir: n.Dir, Processes: processes}
	if !n.ControlPlane {
		spec.Cgroup = cgroupOf(n.Dir)
		spec.Network = &nodeNetwork{Bridge: n.bridge(), Address: n.address, Services: n.ServiceCIDR}
	}
	for i, p := range processes {
		sum := sha256.New()
		for _, file := range p.files {
			data, err := os.ReadFile(file)
			if err != nil {
				return spec, err
			}
			fmt.Fprintf(sum, "%d:", len(data))
			sum.Write(data)
		}
		processes[i].Inputs = hex.EncodeToString(sum.Sum(nil))
	}
	return spec, nil
}

// upToDate tells whether what is wanted now is what the supervisor runs.
func (n *node) upToDate() bool {
	have, err := os.ReadFile(n.path("run", "applied"))
	return err == nil && string(have) == fmt.Sprintf("%x", sha256.Sum256(n.desired)) && n.imported() && n.holder() != 0
}

// run starts the supervisor or tells it what changed. On a new node the kubelet
// starts only when the images are there: pods need the first of them at once.
func (n *node) run(ctx context.Context) error {
	if !n.imported() {
		if n.holder() == 0 {
			if err := n.supervise(ctx, n.before("kubelet")); err != nil {
				return err
			}
		}
		if err := n.importImages(ctx); err != nil {
			return err
		}
	}
	if err := n.supervise(ctx, n.desired); err != nil {
		return err
	}
	return n.await(ctx, func(ctx context.Context) error {
		if err := n.healthy(ctx); err != nil {
			return err
		}
		if !n.upToDate() {
			return errors.New("processes are still starting")
		}
		return nil
	})
}

// before returns the configuration without the named process and what follows it.
func (n *node) before(name string) []byte {
	part := n.spec
	for i, p := range part.Processes {
		if p.Name == name {
			part.Processes = part.Processes[:i]
			break
		}
	}
	data, err := json.MarshalIndent(part, "", "  ")
	if err != nil {
		panic(err) // plain strings and numbers
	}
	return data
}

// supervise writes the configuration and makes a supervisor of this version act on it.
func (n *node) supervise(ctx context.Context, config []byte) error {
	path := n.path("etc", "node.json")
	if have, err := os.ReadFile(path); err != nil || string(have) != string(config) {
		if err := durable.WriteFile(path, config, 0o600); err != nil {
			return err
		}
	} else if n.holder() != 0 {
		return nil
	}
	return n.startOrReload(ctx)
}
