package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the tests run this program itself, as their child.
func TestMain(m *testing.M) {
	if os.Getenv("NODE_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// fixture is a node of shell scripts.
type fixture struct {
	*testing.T
	dir string
	cmd *exec.Cmd
}

func newFixture(t *testing.T) *fixture { return &fixture{T: t, dir: t.TempDir()} }

func (f *fixture) write(processes ...process) {
	f.Helper()
	data, err := json.Marshal(nodeConfig{Dir: f.dir, Processes: processes})
	if err == nil {
		err = os.WriteFile(f.config(), data, 0o600)
	}
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) config() string { return filepath.Join(f.dir, "node.json") }

func (f *fixture) command() *exec.Cmd {
	cmd := exec.Command(os.Args[0], "run", "--config", f.config())
	cmd.Env = append(os.Environ(), "NODE_TEST_MAIN=1", "DIR="+f.dir)
	return cmd
}

func (f *fixture) start() {
	f.Helper()
	f.cmd = f.command()
	f.cmd.Stderr = os.Stderr
	if err := f.cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(f.kill)
}

func (f *fixture) kill() {
	_ = f.cmd.Process.Kill()
	_ = f.cmd.Wait()
}

// stop sends SIGTERM and returns when the node has ended.
func (f *fixture) stop() {
	f.Helper()
	f.signal(syscall.SIGTERM)
	if err := f.cmd.Wait(); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) signal(sig syscall.Signal) {
	f.Helper()
	if err := f.cmd.Process.Signal(sig); err != nil {
		f.Fatal(err)
	}
}

// shell is a process that runs a script and ends at once when asked.
func shell(name, script string) process {
	return process{Name: name, Args: []string{"/bin/sh", "-c", script}, StopSeconds: 5}
}

// events appends to a file what happened, in order.
const events = `echo "$NAME up" >>"$DIR/events"; trap 'echo "$NAME down" >>"$DIR/events"; exit 0' TERM; while :; do sleep 0.05; done`

func recorder(name string) process {
	p := shell(name, events)
	p.Env = []string{"NAME=" + name}
	return p
}

func (f *fixture) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(f.dir, name))
	return string(data)
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("never: %s\nlog: %s", what, f.read("log/node.log"))
		}
	}
}

func (f *fixture) pid(name string) int {
	pid, _ := strconv.Atoi(strings.TrimSpace(f.read("run/" + name + ".pid")))
	return pid
}

// alive tells whether a process lives; one that ended and that nobody waited for does not.
func alive(pid int) bool {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && len(line) > 0
}

func TestProcessesStartInOrderAndStopInReverse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one, two := recorder("one"), recorder("two")
	one.Ready = &probe{Socket: filepath.Join(f.dir, "s")}
	f.write(one, two)
	f.start()
	f.eventually("one runs", func() bool { return f.read("events") == "one up\n" })
	l, err := listen(filepath.Join(f.dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.eventually("two runs when one is ready", func() bool { return f.read("events") == "one up\ntwo up\n" })
	f.stop()
	if got, want := f.read("events"), "one up\ntwo up\ntwo down\none down\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestACrashedProcessStartsAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(shell("crash", `echo x >>"$DIR/starts"; exit 1`))
	f.start()
	f.eventually("three starts", func() bool { return strings.Count(f.read("starts"), "x") >= 3 })
	f.stop()
}

func TestReloadRestartsWhatChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	same, other, gone := recorder("same"), recorder("other"), recorder("gone")
	f.write(same, other, gone)
	f.start()
	f.eventually("all run", func() bool { return strings.Count(f.read("events"), "up") == 3 })
	before := f.pid("same")
	other.Inputs = "changed"
	f.write(same, other)
	f.signal(syscall.SIGHUP)
	f.eventually("the changed one is up again", func() bool { return strings.Count(f.read("events"), "other up") == 2 })
	if !strings.Contains(f.read("events"), "gone down\nother down\n") || f.pid("same") != before {
		t.Fatalf("events: %s", f.read("events"))
	}
	if err := os.WriteFile(f.config(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.signal(syscall.SIGHUP)
	f.eventually("a bad configuration is refused", func() bool { return strings.Contains(f.read("log/node.log"), "refused") })
	if f.pid("same") != before {
		t.Fatal("a bad configuration stopped something")
	}
	f.stop()
}

func TestAKilledNodeLeavesNoProcess(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stubborn := shell("stubborn", `trap "" TERM; while :; do sleep 0.05; done`)
	f.write(stubborn)
	f.start()
	f.eventually("it runs", func() bool { return alive(f.pid("stubborn")) })
	pid := f.pid("stubborn")
	f.kill()
	f.eventually("its process is gone", func() bool { return !alive(pid) })
}

func TestAStubbornProcessIsKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stubborn := shell("stubborn", `trap "" TERM; while :; do sleep 0.05; done`)
	stubborn.StopSeconds = 1
	f.write(stubborn)
	f.start()
	f.eventually("it runs", func() bool { return alive(f.pid("stubborn")) })
	pid := f.pid("stubborn")
	f.stop()
	if alive(pid) {
		t.Fatal("it lives")
	}
}

func TestOneNodeADirectory(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(recorder("one"))
	f.start()
	f.eventually("it runs", func() bool { return alive(f.pid("one")) })
	out, err := f.command().CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another node runs in this directory") {
		t.Fatalf("%v: %s", err, out)
	}
	f.stop()
}
