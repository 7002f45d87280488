package site

import (
	"context"
	"log/slog"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Way is how a host goes back to an older version of its cluster.
type Way struct {
	Through *peers.Member // lets the host go, which joins anew once that runs the version
	Keeper  bool          // the cluster goes back to what this host has kept of it
}

// WayBack tells how this host goes back to a version; keeps is whether it has kept what the
// cluster was with that. The error says what it waits for, or why it does not.
//
// Kubernetes does not read what a newer minor version wrote. So a cluster goes back as one
// host: the first of its servers that kept what it was. The others leave it while it runs,
// as hosts do whose role changes, and join anew once it is back; workers leave then. A
// server that still runs the version, because the upgrade never came to it, takes all
// others in like this, and nothing of the cluster is lost.
func (h Hosts) WayBack(ctx context.Context, version string, keeps bool) (Way, error) {
	answers := h.Ask(ctx)
	for i, m := range h.Members {
		if a := answers[m.Name]; m.Role == fleet.ControlPlane && a.Gives && a.Version == version {
			return Way{Through: &h.Members[i]}, nil
		}
	}
	if slices.ContainsFunc(h.Members, func(m peers.Member) bool { return m.Name == h.Host && m.Role == fleet.Worker }) {
		return Way{}, Wait("no host of the control plane runs %s yet", version)
	}
	for _, m := range h.Servers() {
		if err := answers[m.Name].Err; err != nil {
			return Way{}, Wait("%s has to leave the cluster, too, and does not answer; if it will not come back, it is taken out with state: removed: %w", m.Name, err)
		}
	}
	for i, m := range h.Members {
		a := answers[m.Name]
		switch {
		case m.Name == h.Host && keeps:
			return Way{Keeper: true}, h.alone(answers)
		case m.Name == h.Host, m.Role == fleet.Worker:
		case !slices.Contains(a.Kept, version):
		case a.Returns == version:
			return Way{Through: &h.Members[i]}, nil
		default:
			return Way{}, Wait("the cluster goes back to %s with what %s has kept, which is not ready to do so yet", version, m.Name)
		}
	}
	return Way{}, system.Refuse("nothing is left of what the cluster was with "+version,
		"set the version back; or restore a backup on a cluster that is made anew")
}

// Leave has the server let this host go, which depart takes apart then. It ends with what
// comes next, as an error: the host joins anew with the version.
func (w Way) Leave(ctx context.Context, by Peers, version string, log *slog.Logger, depart func() error) error {
	if err := by.Leave(ctx, *w.Through, version); err != nil {
		return Wait("to go back to %s this host has to leave its cluster first: %w", version, err)
	}
	log.Info("the cluster has let this host go; taking it apart, to join it with an older version", "through", w.Through.Name, "version", version)
	if err := depart(); err != nil {
		return err
	}
	return Wait("this host has left its cluster, and joins it with %s", version)
}

// alone says which other server is part of the cluster.
func (h Hosts) alone(answers map[string]Answer) error {
	for _, m := range h.Servers() {
		if answers[m.Name].Known {
			return Wait("%s has to leave the cluster first", m.Name)
		}
	}
	return nil
}
