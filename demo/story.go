package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

const (
	hostName = "store-042-a"
	siteDir  = "sites/emea/store-042"
)

// A story is the demo's cast and what happened so far.
type story struct {
	*screen
	dir      string
	hq       *headquarters
	host     *host
	platform signer // owns everything
	ops      signer // owns sites
	stranger signer // owns nothing
	anchor   string
	good     string // the commit that should be running
	app      string // URL of the web app
	greeting string // what it should answer
	memory   [2]int // of the agent, after the work: resident, anonymous; megabytes
	started  time.Time
}

func newStory(dir string) (*story, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &story{screen: newScreen(), dir: dir, greeting: "Guten Tag", started: time.Now()}
	s.host = &host{
		bin: filepath.Dir(self), data: filepath.Join(dir, "host"),
		stick: filepath.Join(dir, "stick"),
		log:   filepath.Join(dir, "agent.log"), card: filepath.Join(dir, "screen.txt"),
	}
	s.anchor = filepath.Join(dir, "anchor.asc")
	for _, d := range []string{s.host.data, s.host.stick, filepath.Join(dir, "hq")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	s.hq, err = newHeadquarters(filepath.Join(dir, "hq"))
	return s, err
}

func (s *story) play(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		s.model, s.install, s.register, s.change, s.drift, s.forge, s.stick, s.crash,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

// holdfast runs the command line at headquarters.
func (s *story) holdfast(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(s.host.bin, "holdfast"), args...).CombinedOutput() //nolint:gosec // our own program
	if err != nil {
		return "", fmt.Errorf("holdfast %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// answers waits until the web app answers with the given words.
func (s *story) answers(ctx context.Context, words string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last string
	for {
		body, err := get(ctx, s.app)
		if err == nil && strings.Contains(body, words) {
			return nil
		}
		if err != nil {
			body = err.Error()
		}
		if ctx.Err() == nil {
			last = body
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer %q within %s; it says %q", s.app, words, limit, firstLine(last))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// greet changes what the site's web app should say.
func (s *story) greet(words string) error {
	if err := s.hq.edit(siteDir+"/site.yaml", s.greeting, words); err != nil {
		return err
	}
	s.greeting = words
	return nil
}

// deploy commits as who, brings the commit to the host by way of deliver, and
// waits until the host runs it and the app says so.
func (s *story) deploy(ctx context.Context, who signer, words string, deliver func(context.Context) error) (time.Duration, error) {
	if err := s.greet(words); err != nil {
		return 0, err
	}
	commit, err := s.hq.commit(ctx, who, "Greet with: "+words)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := deliver(ctx); err != nil {
		return 0, err
	}
	if _, err := s.host.until(ctx, time.Minute, runs(commit)); err != nil {
		return 0, err
	}
	s.good = commit
	return time.Since(start), s.answers(ctx, words, 10*time.Second)
}

func (s *story) summary(w io.Writer) {
	fmt.Fprintln(w, "\n"+s.colour("1", "What happened"))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, step := range s.steps {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", step.title, seconds(step.took), firstLine(step.detail))
	}
	tw.Flush()
	fmt.Fprintf(w, "\n%d steps, each checked, in %s. The agent takes %d MB of memory, %d MB of it its own.\n",
		len(s.steps), seconds(time.Since(s.started)), s.memory[0], s.memory[1])
}

func (s *story) lookAround(w io.Writer) {
	ns := fmt.Sprintf("nsenter --all --target $(pgrep -f '^%s in-namespace %s')", filepath.Join(s.host.bin, "demo"), s.dir)
	fmt.Fprintf(w, `
Everything is left running, in namespaces of its own. From another terminal, as root:

  %[1]s %[2]s/embedded/kube kubectl --kubeconfig %[3]s get pods -A
  %[1]s %[2]s/holdfast status --data-dir %[4]s
  %[1]s curl -s %[5]s

  kubeconfig  %[3]s
  fleet       %[6]s
  agent log   %[7]s

Ctrl-C ends it and removes everything.
`, ns, s.host.bin, s.host.kubeconfig(), s.host.data, s.app, s.hq.fleet, s.host.log)
}

// explain shows what a person would look at first when a step went wrong.
func (s *story) explain(w io.Writer) {
	if s == nil || s.host == nil {
		return
	}
	if st, err := reconciler.ReadStatus(s.host.data); err == nil {
		fmt.Fprintln(w, "status:", describe(st, nil))
	}
	if data, err := os.ReadFile(s.host.log); err == nil {
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		fmt.Fprintln(w, "last lines of the agent's log:")
		for _, line := range lines[max(0, len(lines)-15):] {
			fmt.Fprintln(w, "  "+line)
		}
	}
}

// close ends the agent and the Git server; the kernel ends the rest.
func (s *story) close() {
	if s.host.agent != nil {
		_ = s.host.agent.Process.Kill()
	}
	if s.hq.server != nil {
		_ = s.hq.server.Close()
	}
}

var errNotRefused = errors.New("the host runs what it should have refused")
