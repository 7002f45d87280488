package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// A unit runs the agent as systemd does: it starts it anew whenever it ends.
type unit struct {
	t      *testing.T
	repo   *gitsourcetest.Repo
	owner  *gitsourcetest.Key
	data   string
	args   []string
	env    []string
	starts atomic.Int64
	pid    atomic.Int64
	done   chan struct{}
	end    func()
}

func newUnit(t *testing.T) *unit {
	u := &unit{t: t, data: t.TempDir(), repo: gitsourcetest.NewRepo(t), done: make(chan struct{}), env: os.Environ()}
	u.owner = gitsourcetest.NewSSHKey(t, "owner@example.com", "ed25519")
	id, err := identity.Load(filepath.Join(u.data, "identity"))
	require.NoError(t, err)
	anchor := filepath.Join(t.TempDir(), "anchor")
	require.NoError(t, os.WriteFile(anchor, []byte(u.owner.AllowedSigner("")), 0o600))
	url := gitsourcetest.Serve(t, filepath.Dir(u.repo.Dir)) + "/" + filepath.Base(u.repo.Dir)
	u.args = []string{"holdfast", "agent", "--anchor", anchor, "--data-dir", u.data, "--source", url, "--interval", "50ms"}
	files := goodFleet(id.PublicKey())
	files["trust/allowed_signers"] = u.owner.AllowedSigner("")
	u.commit(files)
	return u
}

func (u *unit) commit(files map[string]string) string {
	return u.repo.Commit(gitsourcetest.Commit{By: u.owner, Files: files})
}

// start runs the unit until the test ends. The installed program is that of the test.
func (u *unit) start() {
	installed, err := os.Executable()
	require.NoError(u.t, err)
	stop := make(chan struct{})
	u.end = func() { close(stop); _ = syscall.Kill(int(u.pid.Load()), syscall.SIGTERM); <-u.done }
	u.t.Cleanup(u.end)
	go func() {
		defer close(u.done)
		for {
			cmd := exec.Command(installed)
			cmd.Args, cmd.Env, cmd.Stdout, cmd.Stderr = u.args, u.env, io.Discard, u.t.Output()
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := cmd.Start(); err != nil {
				u.t.Error(err)
				return
			}
			u.pid.Store(int64(cmd.Process.Pid))
			u.starts.Add(1)
			_ = cmd.Wait()
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
}

// until waits for a status.
func (u *unit) until(what string, is func(reconciler.Status) bool) {
	u.t.Helper()
	var st reconciler.Status
	require.Eventually(u.t, func() bool {
		var err error
		st, err = reconciler.ReadStatus(u.data)
		return err == nil && is(st)
	}, 3*time.Minute, 20*time.Millisecond, "%s", what)
}

// carries puts a program into the host's content store and returns the agent.yaml that names it.
func (u *unit) carries(version string, program []byte) (files map[string]string) {
	file := filepath.Join(u.t.TempDir(), "holdfast")
	require.NoError(u.t, os.WriteFile(file, program, 0o700))
	store, err := content.Open(filepath.Join(u.data, "content"))
	require.NoError(u.t, err)
	_, err = store.AddFiles("holdfast.dev/agent:"+version, []string{file})
	require.NoError(u.t, err)
	return namesAgent(version, program)
}

// namesAgent is the agent.yaml that names a program.
func namesAgent(version string, program []byte) (files map[string]string) {
	sum := sha256.Sum256(program)
	return map[string]string{"agent.yaml": fmt.Sprintf("%sAgent\nspec:\n  version: %s\n  digests:\n    %s: sha256:%s\n",
		apiHead, version, runtime.GOARCH, hex.EncodeToString(sum[:]))}
}

func agentFailure(st reconciler.Status) string {
	for _, f := range st.Failures {
		if f.Phase == reconciler.PhaseAgent {
			return f.Message
		}
	}
	return ""
}

func TestTheAgentSwitchesItself(t *testing.T) {
	t.Parallel()
	u := newUnit(t)
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	other := append(bytes.Clone(self), "another version"...) // what follows an ELF file is not looked at
	u.start()
	u.until("the installed agent works", func(st reconciler.Status) bool { return st.Accepted != nil && st.Agent.Slot == "" })
	pid := u.pid.Load()

	u.commit(u.carries("v1.1.0", other))
	u.until("a new agent runs and has proved itself", func(st reconciler.Status) bool { return st.Agent.Slot == "a" && !st.Agent.Trial })
	require.Equal(t, pid, u.pid.Load(), "the process goes on, for whoever watches it")
	require.EqualValues(t, 1, u.starts.Load())

	broken := u.commit(u.carries("v1.2.0", []byte("#!/bin/sh\nexit 1\n")))
	u.until("one that ends at once is switched back", func(st reconciler.Status) bool {
		return st.Agent.Slot == "a" && strings.Contains(agentFailure(st), "agent v1.2.0 was tried and switched back: it was started 3 times")
	})
	u.until("and the revision is worked on by the agent before", func(st reconciler.Status) bool {
		return st.Accepted != nil && st.Accepted.Revision == broken
	})
	starts := u.starts.Load()

	u.commit(u.carries("v1.3.0", []byte("no program")))
	u.until("so is one that is no program", func(st reconciler.Status) bool {
		return st.Agent.Slot == "a" && strings.Contains(agentFailure(st), "agent v1.3.0 was tried and switched back: ")
	})
	require.Equal(t, starts, u.starts.Load(), "that is known without running it")

	late := append(bytes.Clone(self), "late"...)
	u.commit(namesAgent("v1.4.0", late))
	u.until("one that is not there changes nothing", func(st reconciler.Status) bool {
		return st.Agent.Slot == "a" && strings.Contains(agentFailure(st), "not in the content store")
	})
	u.carries("v1.4.0", late)
	require.NoError(t, orders.In(u.data).Give(orders.Order{Verb: orders.Sync, At: time.Now()}))
	u.until("once it is there, it takes no other commit", func(st reconciler.Status) bool {
		return st.Agent.Slot == "b" && !st.Agent.Trial && agentFailure(st) == ""
	})

	u.commit(u.carries("v1.0.0", self))
	u.until("back to the program that is installed, in a slot", func(st reconciler.Status) bool {
		return st.Agent.Slot == "a" && !st.Agent.Trial && agentFailure(st) == ""
	})
	require.NoError(t, orders.In(u.data).Give(orders.Order{Verb: orders.Retry, At: time.Now()}))
	u.until("what was found bad is forgotten", func(st reconciler.Status) bool { return len(st.Agent.Bad) == 0 })
}

// TestTheAgentIsKilledWhileItSwitches kills it at every moment of going back and
// forth between two programs; systemd starts it anew.
func TestTheAgentIsKilledWhileItSwitches(t *testing.T) {
	t.Parallel()
	u := newUnit(t)
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	versions := []map[string]string{
		u.carries("v1.1.0", append(bytes.Clone(self), "1"...)),
		u.carries("v1.2.0", append(bytes.Clone(self), "2"...)),
	}
	u.start()
	u.until("the installed agent works", func(st reconciler.Status) bool { return st.Accepted != nil })
	kills := 0
	for round, slot := range []string{"a", "b", "a", "b", "a", "b"} {
		u.commit(versions[round%2])
		time.Sleep(time.Duration(60*round) * time.Millisecond) // not to wait for anything, but to be anywhere
		_ = syscall.Kill(int(u.pid.Load()), syscall.SIGKILL)
		kills++
		u.until("version "+slot+" runs and has proved itself", func(st reconciler.Status) bool { return st.Agent.Slot == slot && !st.Agent.Trial })
	}
	t.Logf("%d kills, 0 unrecovered", kills)
}

func TestTheAgentTellsSystemdThatItIsAlive(t *testing.T) {
	t.Parallel()
	u := newUnit(t)
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	u.env = append(u.env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=300000")
	u.start()
	said := map[string]int{}
	require.NoError(t, socket.SetReadDeadline(time.Now().Add(time.Minute)))
	for buffer := make([]byte, 4096); said["READY=1"] == 0 || said["WATCHDOG=1"] < 3; {
		n, err := socket.Read(buffer)
		require.NoError(t, err)
		said[string(buffer[:n])]++
	}
}
