package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// An upgrade takes all that runs on the host from one version to another, in two
// steps. Each begins with a record of it, can be taken again, and is undone where it
// does not end well:
//
//	ready ── images, snapshot, copies ──▶ control plane ── kubeadm ──▶ kubelet ── new programs ──▶ ready
//	  ▲                                         │                       │    ▲
//	  └──────── old manifests ◀─────────────────┘                       └────┘ old programs
//
// What was cut off in the first step is undone, too, and begun again: kubeadm moves
// manifests one by one, and may have left the host without one of them. In the second
// the control plane is the new one already, and a kubelet may be older than it.
type upgrade struct {
	From string      `json:"from"` // version of the control plane
	To   string      `json:"to"`
	Step upgradeStep `json:"step"`
}

type upgradeStep string

const (
	stepControlPlane upgradeStep = "control-plane"
	stepKubelet      upgradeStep = "kubelet" // the only one of a worker
)

// as is the node as rec has it, with the images of today.
func (n *node) as(rec record) *node {
	old := *n
	old.Bin, old.Cluster = rec.Bin, rec.Cluster
	if rec.Pause != "" {
		old.Pause = rec.Pause
	}
	return &old
}

// upgrade takes the host from what it runs to what the fleet says.
func (n *node) upgrade(ctx context.Context, rec record) error {
	began := time.Now()
	if rec.Upgrade != nil && rec.Upgrade.Step == stepRestore {
		return n.finishRestore(ctx, rec)
	}
	old := n.as(rec)
	if minorOf(n.Cluster.Version) < minorOf(rec.version()) {
		return n.goBackTo(ctx, rec, old)
	}
	if err := old.keepUp(ctx, &rec); err != nil { // which imports the new images, too
		return fmt.Errorf("before an upgrade to %s: %w", n.Cluster.Version, err)
	}
	if err := n.mayUpgrade(rec, time.Now()); err != nil {
		return err
	}
	if err := n.leave(ctx, &rec); err != nil {
		return site.Wait("upgrade from %s to %s waits: %w", rec.version(), n.Cluster.Version, err)
	}
	if err := n.takeSteps(ctx, &rec, old); err != nil {
		return err
	}
	from := rec.Cluster.Version
	rec = n.done(rec)
	if err := errors.Join(n.writeRecord(rec), os.RemoveAll(n.before()), os.RemoveAll(etcKubernetes+"/tmp")); err != nil {
		return err
	}
	n.log.Info("node is upgraded", "from", from, "to", n.Cluster.Version, "took", time.Since(began).Round(time.Millisecond))
	return n.back(ctx, &rec)
}

func (n *node) takeSteps(ctx context.Context, rec *record, old *node) error {
	if rec.Upgrade == nil || rec.Upgrade.To != n.Cluster.Version {
		if err := n.beginUpgrade(ctx, rec); err != nil {
			return err
		}
	}
	if begun := *rec.Upgrade; begun.Step == stepControlPlane {
		if err := n.upgradeControlPlane(ctx, rec, old); err != nil { // which is not begun any more
			return fmt.Errorf("upgrade the control plane from %s to %s: %w", begun.From, begun.To, err)
		}
	}
	err := n.moveAway(ctx)
	if err == nil {
		err = n.upgradeKubelet(ctx, old)
	}
	if err != nil {
		err = fmt.Errorf("upgrade the kubelet from %s to %s: %w", rec.Cluster.Version, rec.Upgrade.To, err)
		return errors.Join(err, n.gaveUp(ctx, rec, err))
	}
	return nil
}

// beginUpgrade keeps the datastore, and what is changed on the host.
func (n *node) beginUpgrade(ctx context.Context, rec *record) error {
	next := &upgrade{rec.version(), n.Cluster.Version, stepControlPlane}
	if n.Worker {
		next.Step = stepKubelet
	} else if err := n.beginControlPlane(ctx, next.From); err != nil {
		return err
	}
	if err := keepFiles(n.before(), upgradedFiles()); err != nil {
		return fmt.Errorf("keep a copy of what is changed: %w", err)
	}
	if _, err := system.Write(n.patches(thisMachine())); err != nil {
		return err
	}
	rec.Upgrade = next
	return n.writeRecord(*rec)
}

// beginControlPlane keeps the datastore, once the pods of before run.
func (n *node) beginControlPlane(ctx context.Context, from string) error {
	began := time.Now()
	first := n.mirrored(ctx)
	if first != nil {
		if err := n.await(ctx, n.mirrored); err != nil {
			return err
		}
		n.log.Info("control plane runs as its manifests say", "after", time.Since(began).Round(time.Millisecond), "before", first)
	}
	return Snapshot(ctx, n.snapshotBefore(from))
}

// upgradeControlPlane has kubeadm change the static pods, and what is in the cluster.
func (n *node) upgradeControlPlane(ctx context.Context, rec *record, old *node) error {
	n.log.Info("control plane is upgraded", "from", rec.Upgrade.From, "to", rec.Upgrade.To)
	config, err := n.keep("upgrade.yaml", n.upgradeConfig(thisMachine()))
	var words []string
	if err == nil {
		words, err = n.upgradeWords(ctx)
	}
	if err == nil {
		err = n.kubeadm(ctx, "upgrade", append(words, "--config="+config)...)
	}
	if err == nil {
		rec.Upgrade.Step = stepKubelet
		return n.writeRecord(*rec)
	}
	touched := !unchanged(n.before(), manifests)
	if back := old.goBack(ctx, rec); back != nil || !touched { // what cost nothing is tried again soon
		return errors.Join(err, back)
	}
	return errors.Join(err, n.gaveUp(ctx, rec, err))
}

// upgradeWords are for the first host of the control plane, which also changes what is
// in the cluster, or for the others.
func (n *node) upgradeWords(ctx context.Context) ([]string, error) {
	server, err := n.localAPI()
	if err != nil {
		return nil, err
	}
	defer server.Close()
	says, err := saysVersion(ctx, server, n.Cluster.Version)
	if says {
		return []string{"upgrade", "node"}, nil
	}
	return []string{"upgrade", "apply", "--yes"}, err
}

// saysVersion tells whether what kubeadm keeps in the cluster says that it is of a version.
func saysVersion(ctx context.Context, server *kubeapi.Server, version string) (bool, error) {
	var known struct{ Data map[string]string }
	if err := server.Get(ctx, "/api/v1/namespaces/kube-system/configmaps/kubeadm-config", &known); err != nil {
		return false, err
	}
	for line := range strings.Lines(known.Data["ClusterConfiguration"]) {
		if strings.TrimSpace(line) == "kubernetesVersion: "+version {
			return true, nil
		}
	}
	return false, nil
}

// sayVersion has what kubeadm keeps in the cluster say the version of this host, where it
// does not: the first host that is upgraded has it say the next one, and hosts that join
// would make their control plane of that.
func (n *node) sayVersion(ctx context.Context, server *kubeapi.Server, address string) error {
	says, err := saysVersion(ctx, server, n.Cluster.Version)
	if err != nil || says {
		return err
	}
	config, err := n.writeConfig(address)
	if err != nil {
		return err
	}
	return n.kubeadm(ctx, "config", "init", "phase", "upload-config", "kubeadm", "--config="+config, "--kubeconfig="+Kubeconfig)
}

// gaveUp notes that an upgrade was undone, and takes the host's turn back if the host
// is well: the others may go on. One that was cut off, by a newer revision or the agent's
// end, did not fail.
func (n *node) gaveUp(ctx context.Context, rec *record, why error) error {
	if ctx.Err() != nil {
		return nil
	}
	rec.fail(n, why, time.Now())
	err := n.writeRecord(*rec)
	if err == nil && n.ready(ctx) == nil {
		err = n.back(ctx, rec)
	}
	return err
}

// goBack undoes what may have been done of the control plane.
func (n *node) goBack(ctx context.Context, rec *record) error {
	from := rec.Upgrade.From
	n.log.Info("control plane goes back", "from", rec.Upgrade.To, "to", from)
	system.End(ctx, unitOf("upgrade")) // which an agent that died may have left
	err := n.runtimeRuns(ctx)
	if err == nil {
		err = undo(n.before(), upgradedFiles(), func() error { return n.stopControlPlane(ctx) })
	}
	if err == nil {
		err = n.runs(ctx)
	}
	if err != nil {
		return fmt.Errorf("put %s back: %w", from, err)
	}
	rec.Upgrade = nil
	if from != rec.Cluster.Version { // an earlier one got as far as this
		rec.Upgrade = &upgrade{from, from, stepKubelet}
	}
	return n.writeRecord(*rec)
}

// upgradeKubelet lets the new programs take over from the old ones. Pods go on.
func (n *node) upgradeKubelet(ctx context.Context, old *node) error {
	config, err := n.keep("upgrade.yaml", n.upgradeConfig(thisMachine()))
	if err == nil {
		err = n.kubeadm(ctx, "upgrade", "upgrade", "node", "phase", "kubelet-config", "--config="+config)
	}
	if err == nil {
		err = n.runs(ctx)
	}
	if err == nil {
		err = n.steady(ctx)
	}
	if err == nil {
		return nil
	}
	n.log.Info("kubelet goes back", "from", n.Cluster.Version, "to", old.Cluster.Version, "error", err)
	back := putBack(n.before(), kubeletConfigs)
	if back == nil {
		back = old.runs(ctx)
	}
	if back != nil {
		err = errors.Join(err, fmt.Errorf("put the kubelet of %s back: %w", old.Cluster.Version, back))
	}
	return err
}

// steadyTime is how long a node must have been well: a kubelet that is new starts static
// pods again whose defaults have changed, once it has seen them.
const steadyTime = 20 * time.Second

// steady waits until an upgraded node has been well for a while, so that no other leaves
// while this one's control plane starts once more.
func (n *node) steady(ctx context.Context) error {
	var since time.Time
	return n.await(ctx, func(ctx context.Context) error {
		if err := n.upgraded(ctx); err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if well := time.Since(since); well < steadyTime && !n.Worker {
			return fmt.Errorf("it has been well for %s alone", well.Round(time.Second))
		}
		return nil
	})
}

// upgraded tells whether the node is Ready, and says that its kubelet is the new one.
func (n *node) upgraded(ctx context.Context) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	var own kubeapi.Node
	if err := server.Get(ctx, "/api/v1/nodes/"+n.Host, &own); err != nil {
		return err
	}
	if runs := own.Status.NodeInfo.KubeletVersion; runs != n.Cluster.Version {
		return fmt.Errorf("the node says that its kubelet is of %s", runs)
	}
	return server.NodeReady(ctx, n.Host)
}

// snapshotBefore is where the datastore is kept as it was with a version.
func (n *node) snapshotBefore(version string) string {
	return filepath.Join(n.Dir, "etcd-"+version+".snapshot")
}

// upgradeConfig is kubeadm's. Images are there already; certificates are renewed in
// their own time. The Job that it would try the cluster with may come to a node that
// does not have the new images yet.
func (n *node) upgradeConfig(m machine) string {
	skip := "SystemVerification, "
	if m.cgroupV2 {
		skip = ""
	}
	both := fmt.Sprintf(`  certificateRenewal: false
  etcdUpgrade: true
  imagePullPolicy: Never
  ignorePreflightErrors: [%sCreateJob]
  patches: {directory: %s}
`, skip, n.patchDir())
	return fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: UpgradeConfiguration
apply:
  kubernetesVersion: %s
%snode:
%s`, n.Cluster.Version, both, both)
}
