package render

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"sync"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// pool runs kustomize: one build at a time in this process, and others beside it
// in processes of their own, because it keeps its schema in globals.
type pool struct {
	start func() *exec.Cmd // nil: there are no others

	here sync.Mutex
	free chan struct{} // a token for each worker that may run
	mu   sync.Mutex
	idle []*worker
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
	w, err := p.take()
	if err != nil {
		return j.run()
	}
	list, problems, err := w.build(j)
	if err != nil {
		w.end()
		return j.run() // what ends a worker is told by this process
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, w)
	return list, problems
}

func (p *pool) take() (*worker, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return w, nil
	}
	return startWorker(p.start())
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
	return &worker{cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}, nil
}

// answer is what a worker makes of a job.
type answer struct {
	Templates []template       `json:"templates,omitempty"`
	Problems  []*fleet.Problem `json:"problems,omitempty"`
	Err       string           `json:"err,omitempty"` // one that is no problem of a file
}

// build returns what is wrong with the job, or as err with the worker.
func (w *worker) build(j job) (list []template, problems, err error) {
	if err := w.enc.Encode(j); err != nil {
		return nil, nil, err
	}
	var a answer
	if err := w.dec.Decode(&a); err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, p := range a.Problems {
		errs = append(errs, p)
	}
	if a.Err != "" {
		errs = append(errs, errors.New(a.Err))
	}
	return a.Templates, errors.Join(errs...), nil
}

func (w *worker) end() {
	w.in.Close()
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// Work runs kustomize for another process, which it hears through r and answers
// through w, until r ends.
func Work(r io.Reader, w io.Writer) error {
	dec, enc := json.NewDecoder(r), json.NewEncoder(w)
	for {
		var j job
		if err := dec.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var a answer
		var err error
		if a.Templates, err = j.run(); err != nil {
			if a.Problems = fleet.Problems(err); len(a.Problems) == 0 {
				a.Err = err.Error()
			}
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}
