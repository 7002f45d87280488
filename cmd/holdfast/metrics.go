package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// metricsSocket is where the agent serves its metrics, in the data folder.
const metricsSocket = "metrics.sock"

// serveMetrics answers GET /metrics on the socket and, if there is an address,
// there, until ctx ends. The agent does not depend on it: where it cannot
// listen, the log says so.
func serveMetrics(ctx context.Context, dataDir, address string, log *slog.Logger) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(statusCollector(dataDir), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	serve := func(l net.Listener, err error) {
		if err != nil {
			log.Error("metrics are not served", "error", err)
			return
		}
		server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 1 << 14}
		context.AfterFunc(ctx, func() { _ = server.Close() })
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				log.Error("metrics are not served any more", "at", l.Addr().String(), "error", err)
			}
		}()
	}
	serve(listenPrivately(filepath.Join(dataDir, metricsSocket)))
	if address != "" {
		serve(net.Listen("tcp", address))
	}
}

// listenPrivately listens on a socket that the agent's user alone may open.
func listenPrivately(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(socket, 0o600)
}

// statusCollector says in numbers what the status in a data folder says. What
// a series is called and means is in docs/reference/metrics.md.
type statusCollector string

func series(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("holdfast_"+name, help, labels, nil)
}

var (
	agentInfo     = series("agent_info", "Version of the agent that runs; 1.", "version")
	hostInfo      = series("host_info", "The host's name and site, empty until it is registered; 1.", "host", "site")
	revisionInfo  = series("revision_info", "The revision in a state, accepted or confirmed; 1.", "state", "revision", "signer")
	revisionSince = series("revision_since_seconds", "Unix time at which the host got the revision in this state.", "state")
	phaseInfo     = series("phase", "1 for the phase that is worked on, or was last.", "phase")
	settled       = series("settled", "1 if nothing is left to do for the accepted revision.")
	failing       = series("failing", "1 if the phase failed when it was last tried.", "phase")
	stale         = series("stale", "1 if nothing new was heard of the fleet for longer than it allows.")
	diverged      = series("diverged", "Alarms of signed histories that part from each other.")
	layerStates   = series("layer_state", "1 for the state that the layer is in.", "layer", "state")
	layerObjects  = series("layer_objects", "Objects of the layer.", "layer")
	heldObjects   = series("held_objects", "Objects that are not deleted, for that takes intent.")
	repairs       = series("repairs_total", "Drifted objects put right since the agent started.")
	backupTime    = series("backup_time_seconds", "Unix time of the last backup that this host took.")
	backupSize    = series("backup_size_bytes", "Size of the last backup that this host took.")
	backupFailing = series("backup_failing", "1 if the last backup could not be taken, or not be sent there: to is a target of the site, or empty.", "to")
	updatedAt     = series("status_updated_seconds", "Unix time of the status that all this is from.")
)

// Describe lists no series: they follow from what the status holds.
func (statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the status. Before there is one, there are no series.
func (c statusCollector) Collect(out chan<- prometheus.Metric) {
	st, err := reconciler.ReadStatus(string(c))
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(agentInfo, 1, st.Agent.Version)
	gauge(hostInfo, 1, st.Host, st.Site)
	for state, commit := range map[string]*reconciler.Commit{"accepted": st.Accepted, "confirmed": st.Confirmed} {
		if commit != nil {
			gauge(revisionInfo, 1, state, commit.Revision, commit.Signer)
			gauge(revisionSince, float64(commit.Since.Unix()), state)
		}
	}
	gauge(phaseInfo, 1, string(st.Phase))
	gauge(settled, number(st.Settled))
	failed := map[reconciler.Phase]bool{}
	for _, f := range st.Failures {
		failed[f.Phase] = true
	}
	for _, phase := range reconciler.Phases() {
		gauge(failing, number(failed[phase]), string(phase))
	}
	for _, l := range st.Layers {
		gauge(layerStates, 1, l.Name, string(l.State))
		gauge(layerObjects, float64(l.Objects), l.Name)
	}
	gauge(stale, number(st.Stale != nil))
	gauge(diverged, float64(len(st.Diverged)))
	gauge(heldObjects, float64(len(st.Held)))
	out <- prometheus.MustNewConstMetric(repairs, prometheus.CounterValue, float64(st.Repairs))
	c.collectBackups(gauge)
	gauge(updatedAt, float64(st.UpdatedAt.Unix()))
}

// collectBackups says how the host's backups are, if there are any.
func (c statusCollector) collectBackups(gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	s, err := backupState(string(c))
	if err != nil || s == nil {
		return
	}
	if s.Last != nil {
		gauge(backupTime, float64(s.Last.At.Unix()))
		gauge(backupSize, float64(s.Last.Size))
	}
	gauge(backupFailing, number(s.Failed != nil), "")
	for _, sent := range s.Sent {
		gauge(backupFailing, number(sent.Failed != nil), sent.To)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
