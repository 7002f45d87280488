package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"sync"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render/chart"
)

// pool runs kustomize: one build at a time in this process, and others beside it
// in processes of their own, because it keeps its schema in globals.
type pool struct {
	start func() *exec.Cmd // nil: there are no others

	here    sync.Mutex
	free    chan struct{} // a token for each worker that may run
	mu      sync.Mutex
	idle    []*worker
	bounded []*worker // idle ones that render charts
}

func newPool(start func() *exec.Cmd) *pool {
	p := &pool{start: start, free: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
	return p
}

func (p *pool) build(j job) ([]template, error) {
	if p.start == nil {
		return j.run()
	}
	if p.here.TryLock() {
		defer p.here.Unlock()
		return j.run()
	}
	p.free <- struct{}{}
	defer func() { <-p.free }()
	a, err := p.ask(&p.idle, task{Job: &j})
	if err != nil {
		return j.run() // what ends a worker is told by this process
	}
	return a.Templates, a.problems()
}

// render renders a chart, where there are other processes in one of those, which
// its templates can at most bring down.
func (p *pool) render(r chart.Release) ([]chart.Manifest, error) {
	if p.start == nil {
		return r.Render()
	}
	p.free <- struct{}{}
	defer func() { <-p.free }()
	a, err := p.ask(&p.bounded, task{Release: &r})
	if errors.Is(err, errNoWorker) {
		return r.Render()
	}
	if err != nil {
		return nil, &fleet.Problem{File: r.File, Line: r.Line, Rule: fleet.RuleTooLarge,
			Msg: fmt.Sprintf("release %s takes more than %d s or %d MiB to render", r.Name, chartSeconds, chartMemory>>20),
			Tip: "look for a template that includes itself, or a loop over a large number: it need not come to an end"}
	}
	return a.Manifests, a.problems()
}

var errNoWorker = errors.New("no other process to work in")

// ask lets one of the idle workers do a task, or a new one: only that one's end
// is an error.
func (p *pool) ask(idle *[]*worker, t task) (answer, error) {
	for {
		w, used := p.take(idle)
		if !used {
			var err error
			if w, err = startWorker(p.start()); err != nil {
				return answer{}, fmt.Errorf("%w: %w", errNoWorker, err)
			}
		}
		a, err := w.do(t)
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			*idle = append(*idle, w)
			return a, nil
		}
		w.end()
		if !used {
			return answer{}, err
		}
	}
}

func (p *pool) take(idle *[]*worker) (*worker, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(*idle)
	if n == 0 {
		return nil, false
	}
	w := (*idle)[n-1]
	*idle = (*idle)[:n-1]
	return w, true
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range slices.Concat(p.idle, p.bounded) {
		w.end()
	}
	p.idle, p.bounded = nil, nil
}

// worker is a process that does [Work].
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

func startWorker(cmd *exec.Cmd) (*worker, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}
	var said string
	if err := w.dec.Decode(&said); err != nil || said != greeting {
		w.end()
		return nil, fmt.Errorf("%s does not work for others", cmd.Path)
	}
	return w, nil
}

// greeting is the first that a worker says: what ends after that, a task has ended.
const greeting = "holdfast renders here"

// task is one of the two.
type task struct {
	Job     *job           `json:"job,omitempty"`
	Release *chart.Release `json:"release,omitempty"`
}

// answer is what a worker makes of a task.
type answer struct {
	Templates []template       `json:"templates,omitempty"`
	Manifests []chart.Manifest `json:"manifests,omitempty"`
	Problems  []*fleet.Problem `json:"problems,omitempty"`
	Err       string           `json:"err,omitempty"` // one that is no problem of a file
}

func (a answer) problems() error {
	var errs []error
	for _, p := range a.Problems {
		errs = append(errs, p)
	}
	if a.Err != "" {
		errs = append(errs, errors.New(a.Err))
	}
	return errors.Join(errs...)
}

// do returns the worker's answer, or what is wrong with the worker.
func (w *worker) do(t task) (a answer, err error) {
	if err := w.enc.Encode(t); err != nil {
		return a, err
	}
	return a, w.dec.Decode(&a)
}

func (w *worker) end() {
	w.in.Close()
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// Work runs kustomize and renders charts for another process, which it hears
// through r and answers through w, until r ends.
func Work(r io.Reader, w io.Writer) error {
	dec, enc := json.NewDecoder(r), json.NewEncoder(w)
	bounded := sync.OnceValue(bound)
	if err := enc.Encode(greeting); err != nil {
		return err
	}
	for {
		var t task
		if err := dec.Decode(&t); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var a answer
		var err error
		switch {
		case t.Job != nil:
			a.Templates, err = t.Job.run()
		case t.Release != nil:
			if err := errors.Join(bounded(), allow()); err != nil {
				return err
			}
			a.Manifests, err = t.Release.Render()
		}
		if err != nil {
			if a.Problems = fleet.Problems(err); len(a.Problems) == 0 {
				a.Err = err.Error()
			}
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}
