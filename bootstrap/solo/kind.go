package solo

import (
	"context"
	"log/slog"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Kind is what one of the distributions calls its things, and where it keeps them.
type Kind struct {
	Name       string // of the program, too
	Unit       string // without .service
	Agent      string // unit of a worker, likewise
	Kubeconfig string // the administrator's, as the program writes it
	Kubelet    string // kubeconfig of a worker's own kubelet, likewise: there once it has joined
	Images     string // folder that archives of images are imported from
	Once       string // file there that, where it exists, has each imported once, not at each start; may be empty
	Record     string // file among containerd's data that says which of the layers' images were imported

	Synced func(worker bool) []string // folders of files that the program counts on without waiting for the disk; may be nil

	Kubectl func(program, kubeconfig string, words ...string) []string // a command of kubectl, as who a kubeconfig says

	Admit  func(ctx context.Context, program string, worker bool) (peers.Material, error) // what a worker, or a server, joins with, of a server that is ready
	Etcd   *Etcd                                                                          // how to take a server out of etcd; nil: the program does, when its node is deleted
	Shared []string                                                                       // names of files that servers are given beside [TokenFile], and keep in our own folder

	List      func(program string) []string      // a command that prints the names of the images that there are
	Snapshot  func(name, folder string) []string // words after the program: keep the datastore as it is; the folder is there, and empty,
	Snapshots string                             // or else the program keeps all in this one, in files that begin with the name,
	Forget    func(file string) []string         // until it is told to remove one
	Restore   func(file string) []string         // words after the program: make the datastore that of such a file, while nothing runs
	Afresh    bool                               // it does so only where there is no data
	Lock      string                             // file by which it would refuse to do so twice; may be empty
	Keeps     []string                           // names of files in our own folder that belong to the datastore

	Shims      string   // pattern of the path of what pods run below
	Mounts     []string // what they leave is mounted below these
	Interfaces []string // and these are their network's
	Parts      []string // files by which the kubelet would start parts of the distribution again

	Leaves []string // folders that an uninstallation empties
	Reset  []string // words after the program that do so, too; may be empty
}

// Etcd are words after the program, about the members of etcd.
type Etcd struct {
	Members []string                      // print them: {"members": {"NAME": "URL"}}
	Leave   func(address string) []string // take out the one at an address
}

// UnitOf is the name of the unit of a worker, or of a server, without .service.
func (k Kind) UnitOf(worker bool) string {
	if worker {
		return k.Agent
	}
	return k.Unit
}

// Wanted says what the node should be, whatever kind it is.
type Wanted struct {
	Dir     string // for the record and what else is our own
	Program string // path of the program: its content decides the path
	Host    string // name of the node
	Worker  bool   // it is not of the control plane
	Site
	Network system.Network
	Cluster Cluster
	Disable []string // parts that are not wanted

	MaxUnavailable int // workers that may be away at the same time

	Archives string            // folder of the archives of the distribution's own images: its content decides the path
	Layers   map[string]string // images of the layers, reference → digest
	Archive  containerd.Archive

	Registries containerd.Registries
	From       string       // folder that [Backup] wrote, which the cluster is to be made of; mostly empty
	Downgrade  bool         // a commit allows to go back to the version
	Anew       bool         // a server whose pods did not move tries at once: somebody ordered it
	Log        *slog.Logger // nil discards
}

// Config is the wanted node as one of a kind.
type Config struct {
	Kind
	Wanted

	Secrets func() error                                    // makes those of a cluster that this host makes, once; nil where the program does
	Files   func(address, through string) map[string]string // configuration, path → content, for a node's address, and that of the server it joins by, if any; and the unit, unless:
	Install func(address, through string) []string          // words after the program: make the unit; nil where it is one of the files
}

// Cluster is what a cluster is made with.
type Cluster struct {
	Version     string `json:"version"`
	PodCIDR     string `json:"podCIDR"`
	ServiceCIDR string `json:"serviceCIDR"`
	APIPort     int    `json:"apiPort"`
}
