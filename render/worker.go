package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render/chart"
)

// pool renders charts in processes of their own, because templates are programs
// that nothing in a process could stop.
type pool struct {
	start func() *exec.Cmd // nil: in this process

	free chan struct{} // a token for each worker that may run
	mu   sync.Mutex
	idle []*worker
}

func newPool(start func() *exec.Cmd) *pool {
	return &pool{start: start, free: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
}

// render renders a chart, which can at most bring down the worker.
func (p *pool) render(r chart.Release) ([]chart.Manifest, error) {
	if p.start == nil {
		return r.Render()
	}
	p.free <- struct{}{}
	defer func() { <-p.free }()
	a, err := p.ask(r)
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

// ask lets one of the idle workers render, or a new one: only that one's end is an
// error.
func (p *pool) ask(r chart.Release) (answer, error) {
	for {
		w, used := p.take()
		if !used {
			var err error
			if w, err = startWorker(p.start()); err != nil {
				return answer{}, fmt.Errorf("%w: %w", errNoWorker, err)
			}
		}
		a, err := w.do(r)
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.idle = append(p.idle, w)
			return a, nil
		}
		w.end()
		if !used {
			return answer{}, err
		}
	}
}

func (p *pool) take() (*worker, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil, false
	}
	w := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return w, true
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		w.end()
	}
	p.idle = nil
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

// greeting is the first that a worker says: what ends after that, a chart has ended.
const greeting = "holdfast renders here"

// answer is what a worker makes of a release.
type answer struct {
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
func (w *worker) do(r chart.Release) (a answer, err error) {
	if err := w.enc.Encode(r); err != nil {
		return a, err
	}
	return a, w.dec.Decode(&a)
}

func (w *worker) end() {
	w.in.Close()
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// Work renders charts for another process, which it hears through r and answers
// through w, until r ends.
func Work(r io.Reader, w io.Writer) error {
	dec, enc := json.NewDecoder(r), json.NewEncoder(w)
	if err := enc.Encode(greeting); err != nil {
		return err
	}
	if err := bound(); err != nil {
		return err
	}
	for {
		var release chart.Release
		if err := dec.Decode(&release); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := allow(); err != nil {
			return err
		}
		var a answer
		var err error
		if a.Manifests, err = release.Render(); err != nil {
			if a.Problems = fleet.Problems(err); len(a.Problems) == 0 {
				a.Err = err.Error()
			}
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}
