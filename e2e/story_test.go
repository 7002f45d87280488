//go:build e2e

// Package e2e_test plays stories on whole hosts: see scenarios.
package e2e_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/e2e/testhost"
)

// TestStories plays each folder of scenarios, on a LAN of its own.
func TestStories(t *testing.T) { playAll(t, "scenarios/*/story.txt") }

// TestSagas plays those that are too long to be played at every change: make e2e-all.
func TestSagas(t *testing.T) { playAll(t, "sagas/*/story.txt") }

func playAll(t *testing.T, pattern string) {
	stories, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, stories)
	for _, file := range stories {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			if !testhost.Inside(t, "../build/hosts") {
				return
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			k := kubeadmKit
			if bytes.Contains(text, []byte("$NEXT")) {
				k = upgradeKit()
			}
			play(t, file, k)
		})
	}
}

func play(t *testing.T, file string, k kit) {
	t.Helper()
	lan, err := testhost.NewLAN("a", "b", "c", "d")
	require.NoError(t, err)
	s := &story{lan: lan, hosts: map[string]*testhost.Host{}}
	testscript.Run(t, testscript.Params{
		Files: []string{file},
		Setup: func(env *testscript.Env) error {
			k.setenv(env)
			env.Defer(s.explain(t))
			var err error
			s.hq, err = newHeadquarters(filepath.Join(env.WorkDir, "hq"), k, lan)
			return err
		},
		Condition: k.condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"install":  s.install,
			"boot":     s.boot,
			"poweroff": s.powerOff,
			"dated":    s.dated,
			"cut":      s.cut,
			"mend":     s.mend,
			"register": s.register,
			"backedup": s.backedUp,
			"letin":    s.letIn,
			"bring":    s.bring,
			"together": s.together,
			"remove":   s.remove,
			"replace":  s.replace,
			"role":     s.role,
			"members":  s.members,
			"commit":   s.commit,
			"version":  s.version,
			"allow":    s.allow,
			"settled":  s.settled,
			"set":      s.set,
			"on":       s.on,
			"until":    s.until,
			"kubectl":  s.kubectl,
			"answers":  s.answers,
			"uses":     s.uses,
			"heard":    s.heard,
		},
	})
}

// story is what its commands share.
type story struct {
	lan   *testhost.LAN
	hq    *headquarters
	hosts map[string]*testhost.Host
}

// patience is for what two cores take that have four hosts, and perhaps other work.
const patience = 10 * time.Minute

func (s *story) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// install HOST makes a host, off, with the agent on its disk.
func (s *story) install(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		h, err := s.lan.Host(name, s.hq.stage())
		ts.Check(err)
		s.hosts[name] = h
	}
}

func (s *story) host(ts *testscript.TestScript, args []string) *testhost.Host {
	if len(args) == 0 || s.hosts[args[0]] == nil {
		ts.Fatalf("name a host that is installed")
	}
	return s.hosts[args[0]]
}

// boot HOST turns a host on.
func (s *story) boot(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	ts.Check(s.host(ts, args).Boot(ctx))
}

// poweroff HOST pulls its power.
func (s *story) powerOff(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.host(ts, args).PowerOff())
}

// cut HOST pulls its network cable, mend HOST puts it back.
func (s *story) cut(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.lan.Cut(s.host(ts, args).Name))
}

func (s *story) mend(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.lan.Mend(s.host(ts, args).Name))
}

// register HOST SITE NAME [ROLE] registers a host under a name by a commit.
func (s *story) register(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	key, err := s.host(ts, args).Eventually(ctx, "cat", "/var/lib/holdfast/identity/host_key.pub")
	ts.Check(err)
	entry := host{site: args[1], name: args[2], key: strings.TrimSpace(key), address: s.host(ts, args).Address, role: "control-plane"}
	if len(args) > 3 {
		entry.role = args[3]
	}
	ts.Check(s.hq.register(entry))
}

// together SITE HOST NAME HOST NAME... registers hosts of a control plane by one commit.
func (s *story) together(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	for i := 1; i+1 < len(args); i += 2 {
		key, err := s.host(ts, args[i:]).Eventually(ctx, "cat", "/var/lib/holdfast/identity/host_key.pub")
		ts.Check(err)
		ts.Check(s.hq.list(host{site: args[0], name: args[i+1], key: strings.TrimSpace(key), address: s.host(ts, args[i:]).Address, role: "control-plane"}))
	}
	ts.Check(s.hq.commit("Register the control plane"))
}

// remove SITE NAME... takes hosts out by one commit.
func (s *story) remove(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args[1:] {
		ts.Check(s.hq.remove(args[0], name))
	}
	ts.Check(s.hq.commit("Remove " + strings.Join(args[1:], " and ")))
}

// replace SITE NAME HOST NEWNAME takes a control-plane host out and puts another in its place, by one commit.
func (s *story) replace(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.hq.remove(args[0], args[1]))
	s.together(ts, false, append(args[:1:1], args[2:]...))
}

// role SITE NAME ROLE... changes roles of hosts by one commit.
func (s *story) role(ts *testscript.TestScript, _ bool, args []string) {
	for i := 1; i+1 < len(args); i += 2 {
		ts.Check(s.hq.edit(args[0], args[i], `(?m)^  role: .*$`, "  role: "+args[i+1]))
	}
	ts.Check(s.hq.commit("Change roles"))
}

// members HOST prints the names of etcd's members, as a control-plane host knows them, in order.
func (s *story) members(ts *testscript.TestScript, neg bool, args []string) {
	s.on(ts, neg, []string{args[0], "sh", "-c", etcdMembers + ` | sort`})
}

const etcdMembers = `cd /etc/kubernetes/pki && curl -sf --max-time 10 --cacert etcd/ca.crt --cert apiserver-etcd-client.crt --key apiserver-etcd-client.key -d {} https://127.0.0.1:2379/v3/cluster/member/list | grep -o '"name":"[^"]*"' | cut -d '"' -f 4`

// commit MESSAGE signs and pushes what changed in the clone of the fleet.
func (s *story) commit(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.hq.commit(strings.Join(args, " ")))
}

// version VERSION has all hosts run another version of their distribution.
func (s *story) version(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.hq.setVersion(args[0]))
}

// allow WHAT makes a commit that changes nothing, and allows something: Downgrade: VERSION.
func (s *story) allow(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.hq.commit("Allow it\n\nAllow-" + strings.Join(args, " ")))
}

// set SITE VARIABLE=VALUE sets a variable by a commit.
func (s *story) set(ts *testscript.TestScript, _ bool, args []string) {
	_, err := s.hq.holdfast(append([]string{"set", "--fleet", s.hq.fleet()}, args...)...)
	ts.Check(err)
	ts.Check(s.hq.commit("Set " + strings.Join(args, " ")))
}

// settled HOST waits until it runs the newest commit and has nothing left to do.
func (s *story) settled(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	began := time.Now()
	h := s.host(ts, args)
	ts.Check(await(ctx, func() error { return s.hq.isRunBy(h) }))
	ts.Logf("%s settled after %s", h.Name, time.Since(began).Round(100*time.Millisecond))
}

// on HOST COMMAND... runs a command there; until HOST COMMAND... does so again and again until it succeeds.
func (s *story) on(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	out, err := s.host(ts, args).Run(ctx, args[1:]...)
	_, _ = ts.Stdout().Write([]byte(out))
	if neg == (err == nil) {
		ts.Fatalf("%v: %s", err, out)
	}
}

func (s *story) until(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	out, err := s.host(ts, args).Eventually(ctx, args[1:]...)
	_, _ = ts.Stdout().Write([]byte(out))
	if err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
}

// kubectl HOST ARGS... asks the cluster from a control-plane host of it.
func (s *story) kubectl(ts *testscript.TestScript, neg bool, args []string) {
	s.on(ts, neg, append([]string{args[0], "sh", "-c", administer + ` "$@"`, "kubectl"}, args[1:]...))
}

// While an upgrade is under way there are two: of either version.
const administer = `exec $(ls /var/lib/holdfast/kubeadm/bin/*/kubectl | head -n 1) --kubeconfig=/etc/kubernetes/admin.conf`

// kubectl lets a script do so more than once.
const kubectl = `kubectl() { (` + administer + ` --request-timeout=10s "$@"); }; `

// answers HOST CONTROL TEXT waits until the web app, at its service's address,
// which a control-plane host tells, answers HOST with the text.
func (s *story) answers(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	address, err := s.host(ts, args[1:]).Eventually(ctx, "sh", "-c", administer+" -n shop get service web -o jsonpath={.spec.clusterIP}")
	ts.Check(err)
	out, err := s.host(ts, args).Eventually(ctx, "sh", "-c", `curl -sf --max-time 5 "http://$1" | grep "$2"`, "sh", address, args[2])
	if err != nil {
		ts.Fatalf("%s hears nothing of %q from http://%s: %v: %s", args[0], args[2], address, err, out)
	}
}

// explain prints what hosts say, once a story failed.
func (s *story) explain(t *testing.T) func() {
	return func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := s.context()
		defer cancel()
		for name, h := range s.hosts {
			t.Logf("%s:\n%s", name, says(ctx, h))
		}
	}
}

// says is what people would look at first on a host.
func says(ctx context.Context, h *testhost.Host) string {
	var b strings.Builder
	for _, command := range []string{
		"holdfast status", "systemctl --failed --no-pager", kubectl + "kubectl get pods -A -o wide", "ip route",
		"journalctl -n 60 --no-pager -o cat -u 'holdfast*'", "journalctl -n 60 --no-pager -o cat",
	} {
		out, _ := h.Run(ctx, "sh", "-c", command)
		b.WriteString("$ " + command + "\n" + out + "\n")
	}
	return b.String()
}
