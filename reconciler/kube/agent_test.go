package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
	"github.com/holdfast-fleet/holdfast/trust"
)

// agentEnv makes this test program an agent, so that tests can kill one.
const agentEnv = "HOLDFAST_TEST_AGENT"

func TestMain(m *testing.M) {
	if config := os.Getenv(agentEnv); config != "" {
		if err := runAgent(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// agentConfig is what an agent of a test is told.
type agentConfig struct {
	Dir, Kubeconfig, Source, Anchor string
	Hurry                           bool          // holds its Lease for seconds
	Up                              time.Duration // how much longer the machine has been up than it has
	Wrong                           time.Duration // its wall clock is off by so much
	KillAt                          int           // the nth thing that it does; 0: none
	KillWhen                        string        // it does this; empty: never
}

// runAgent is an agent with the real parts, for a cluster that is there already.
func runAgent(text string) error {
	var c agentConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	points, err := os.OpenFile(filepath.Join(c.Dir, "points"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	k := &killer{at: c.KillAt, when: c.KillWhen, log: points}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	anchor, err := trust.ParseKeyring(map[string][]byte{"anchor": []byte(c.Anchor)})
	if err != nil {
		return err
	}
	sources := []gitsource.Source{{URL: c.Source}}
	wall := func() time.Time { return time.Now().Add(c.Wrong).Round(0) }
	repo, err := gitsource.Open(gitsource.Options{Dir: filepath.Join(c.Dir, "source"), Sources: sources, Anchor: anchor, Log: log, Clock: gitsource.Clock{Now: wall}})
	if err != nil {
		return err
	}
	defer repo.Close()
	id, err := identity.Load(filepath.Join(c.Dir, "identity"))
	if err != nil {
		return err
	}
	opens, err := secrets.HostIdentity(id.PrivateKey())
	if err != nil {
		return err
	}
	store, err := content.Open(filepath.Join(c.Dir, "content"))
	if err != nil {
		return err
	}
	r := reconciler.Reconciler{
		Dir: c.Dir, Identity: id.PublicKey(), Fingerprint: id.Fingerprint(), Source: repo, Staged: sources,
		Login: id.Signer(), Secrets: opens, Content: store, Interval: 200 * time.Millisecond, Log: log,
		Now: wall,
		Disk: durable.Disk{Before: func(change durable.Change) error {
			if name := filepath.Base(change.Path); change.Op != durable.Write && !strings.Contains(name, reconciler.StatusFile) { // which decides nothing
				k.point(fmt.Sprintf("disk: %s %s", change.Op, name))
			}
			return nil
		}},
		Driver: func(string) (reconciler.Driver, error) { return standing(c.Kubeconfig), nil },
		Connect: func(kubeconfig string) (reconciler.Cluster, error) {
			cluster, err := Connect(kubeconfig, log)
			if err != nil {
				return nil, err
			}
			cluster.http.Transport = reaper{cluster.http.Transport, k}
			cluster.tenure.now = func() time.Duration { return sinceBoot() + c.Up }
			if c.Hurry {
				cluster.lease = hurriedTimes
			}
			return cluster, nil
		},
	}
	return r.Run(ctx)
}

// killer ends this process, as a power cut would, at one of the things that it does.
type killer struct {
	at   int
	when string
	log  *os.File // of all of them

	mu sync.Mutex
	n  int
}

func (k *killer) point(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
	fmt.Fprintln(k.log, what)
	if k.n == k.at || k.when != "" && strings.Contains(what, k.when) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// reaper has a killer watch requests: each before it is sent, and once it was
// answered and nobody knows yet. Those of the Lease come at any time, and are not counted.
type reaper struct {
	http.RoundTripper
	*killer
}

func (r reaper) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.Path, "/leases") {
		return r.RoundTripper.RoundTrip(req)
	}
	what := req.Method + " " + req.URL.Path
	r.point("ask: " + what)
	resp, err := r.RoundTripper.RoundTrip(req)
	r.point("answered: " + what)
	return resp, err
}

// standing is the driver of a cluster that stands, by its kubeconfig.
type standing string

func (standing) Needs(fleet.Distribution) []string { return nil }
func (standing) Shares() bool                      { return true }

func (standing) Backup(context.Context, string, string) error { return nil }

func (s standing) Ensure(context.Context, bootstrap.Request) (bootstrap.Access, error) {
	return bootstrap.Access{Kubeconfig: string(s)}, nil
}

// fleetOf is a fleet of one site, with a source for each of its hosts.
type fleetOf struct {
	t    testing.TB
	repo *gitsourcetest.Repo
	key  *gitsourcetest.Key
	ids  map[string]*identity.Identity
	dirs map[string]string // of each host's agent
	url  string            // of the folder of sources
}

func newFleet(t testing.TB, hosts ...string) *fleetOf {
	f := &fleetOf{t: t, repo: gitsourcetest.NewRepo(t), key: gitsourcetest.NewSSHKey(t, "owner@example.com", "ed25519"), ids: map[string]*identity.Identity{}, dirs: map[string]string{}}
	root := filepath.Dir(f.repo.Dir)
	f.url = strings.TrimSuffix(gitsourcetest.Serve(t, f.repo.Dir), filepath.Base(f.repo.Dir))
	files := map[string]string{
		"fleet.yaml":            krm("Fleet", "shops", ""),
		"trust/allowed_signers": f.key.AllowedSigner(""),
		"profiles/shop/distribution/kustomization.yaml": "resources: [distribution.yaml]\n",
		"profiles/shop/distribution/distribution.yaml":  krm("Distribution", "shop", "spec: {type: embedded, version: v1.36.3, controlPlane: true}\n"),
		"sites/store/site.yaml":                         krm("Site", "store", "spec: {profile: shop}\n"),
	}
	for n, h := range hosts {
		f.dirs[h] = t.TempDir()
		id, err := identity.Load(filepath.Join(f.dirs[h], "identity"))
		require.NoError(t, err)
		f.ids[h] = id
		files["sites/store/hosts/"+h+".yaml"] = krm("Host", h, fmt.Sprintf("spec: {identity: %q, role: control-plane, network: {address: 10.0.0.%d}}\n", id.PublicKey(), n+1))
		f.repo.Git("init", "-q", "--bare", "-b", "main", filepath.Join(root, h+".git"))
	}
	f.repo.Commit(gitsourcetest.Commit{By: f.key, Files: files})
	return f
}

func krm(kind, name, rest string) string {
	return fmt.Sprintf("apiVersion: holdfast.dev/v1alpha1\nkind: %s\nmetadata: {name: %s}\n%s", kind, name, rest)
}

// commit makes the profile of layers, each "settings|YAML documents", and returns the commit.
func (f *fleetOf) commit(message string, layers ...string) string {
	f.t.Helper()
	files := map[string]string{}
	list := "spec:\n  layers:\n"
	for _, l := range layers {
		settings, docs, _ := strings.Cut(l, "|")
		name, _, _ := strings.Cut(settings, ",")
		list += "    - {name: " + settings + "}\n"
		files["profiles/shop/addons/"+name+"/kustomization.yaml"] = "resources: [objects.yaml]\n"
		files["profiles/shop/addons/"+name+"/objects.yaml"] = docs
	}
	files["profiles/shop/profile.yaml"] = krm("Profile", "shop", list)
	return f.repo.Commit(gitsourcetest.Commit{By: f.key, Files: files, Message: message})
}

// push gives hosts the newest commit.
func (f *fleetOf) push(hosts ...string) {
	f.t.Helper()
	for _, h := range hosts {
		f.repo.Git("push", "-q", filepath.Join(filepath.Dir(f.repo.Dir), h+".git"), "HEAD:main")
	}
}

// start runs the agent of a host until the test ends.
func (f *fleetOf) start(host string, c agentConfig) *exec.Cmd {
	f.t.Helper()
	c.Dir, c.Anchor = f.dirs[host], f.key.AllowedSigner("")
	c.Source = f.url + host + ".git"
	text, err := json.Marshal(c)
	require.NoError(f.t, err)
	self, err := os.Executable()
	require.NoError(f.t, err)
	log, err := os.OpenFile(filepath.Join(c.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(f.t, err)
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), agentEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(f.t, cmd.Start())
	f.t.Cleanup(func() { kill(cmd) })
	return cmd
}

// kill ends a process as a power cut would; it may have ended before.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// until waits for the status of a host.
func (f *fleetOf) until(host, what string, want func(reconciler.Status) bool) reconciler.Status {
	f.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		st, err := reconciler.ReadStatus(f.dirs[host])
		if err == nil && want(st) {
			return st
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(f.dirs[host], "log"))
			f.t.Fatalf("host %s: not in time: %s\nstatus %+v\nlog\n%s", host, what, st, log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func runs(commit string) func(reconciler.Status) bool {
	return func(st reconciler.Status) bool {
		return st.Healthy() && st.Confirmed != nil && st.Confirmed.Revision == commit && st.Accepted != nil && st.Accepted.Revision == commit
	}
}
