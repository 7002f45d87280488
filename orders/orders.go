// Package orders is what people on a host tell its agent, as small files in a
// folder: they last until they are carried out, also when no agent runs.
package orders

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

// Name is the folder's, in the agent's data folder.
const Name = "orders"

const (
	maxOrder  = 4 << 10 // bytes of one
	maxReason = 200     // bytes
	// MaxPause is the longest that a pause may last.
	MaxPause = 366 * 24 * time.Hour
)

// Verb is what is ordered.
type Verb string

// The orders. A pause lasts until it is over or resumed; the agent carries the
// others out once, and removes them.
const (
	Pause Verb = "pause" // change nothing
	Retry Verb = "retry" // try what was found bad once more
	Sync  Verb = "sync"  // ask the sources, and try again, now
)

// Order is one order of a person.
type Order struct {
	Verb   Verb          `json:"-"`
	Layer  string        `json:"-"` // empty: all
	At     time.Time     `json:"at"`
	For    time.Duration `json:"for,omitempty"` // in nanoseconds; of a pause
	Reason string        `json:"reason,omitempty"`
}

// Until is when a pause is over.
func (o Order) Until() time.Time { return o.At.Add(o.For) }

// Over tells whether a pause is over, by the clock; ran is for how long the agent
// has known it: a clock that was set back does not make a pause longer than that.
func (o Order) Over(now time.Time, ran time.Duration) bool {
	return !now.Before(o.Until()) || ran >= o.For
}

// Folder is where the orders are.
type Folder struct {
	Path string
	Disk durable.Disk
}

// In is the folder in an agent's data folder.
func In(dataDir string) Folder { return Folder{Path: filepath.Join(dataDir, Name)} }

// Give writes an order, in place of a former one of the same verb and layer. It
// is on disk when Give returns.
func (f Folder) Give(o Order) error {
	if err := o.check(); err != nil {
		return err
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := f.make(); err != nil {
		return fmt.Errorf("give order: %w", err)
	}
	if err := f.Disk.WriteFile(filepath.Join(f.Path, o.name()), data, 0o600); err != nil {
		return fmt.Errorf("give order: %w", err)
	}
	return nil
}

// make makes the folder, so that it stays.
func (f Folder) make() error {
	if _, err := os.Stat(f.Path); err == nil {
		return nil
	}
	if err := f.Disk.MkdirAll(f.Path); err != nil {
		return err
	}
	return f.Disk.SyncDir(filepath.Dir(f.Path))
}

// Remove takes an order back, or off the list once it is carried out. It tells
// whether there was one.
func (f Folder) Remove(verb Verb, layer string) (bool, error) {
	path := filepath.Join(f.Path, Order{Verb: verb, Layer: layer}.name())
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err := f.Disk.RemoveAll(path); err != nil {
		return false, fmt.Errorf("remove order: %w", err)
	}
	if err := f.Disk.SyncDir(f.Path); err != nil {
		return false, fmt.Errorf("remove order: %w", err)
	}
	return true, nil
}

// List reads all orders, by their names. Its error joins what is wrong with
// files that are none; the good ones come along.
func (f Folder) List() ([]Order, error) {
	entries, err := os.ReadDir(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	var list []Order
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // being written, or left by a power cut
			continue
		}
		o, err := f.read(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Join(f.Path, e.Name()), err))
			continue
		}
		list = append(list, o)
	}
	return list, errors.Join(errs...)
}

func (f Folder) read(name string) (Order, error) {
	file, err := os.Open(filepath.Join(f.Path, name))
	if err != nil {
		return Order{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxOrder))
	if err != nil {
		return Order{}, err
	}
	return parse(name, data)
}

var layerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (o Order) name() string {
	if o.Layer == "" {
		return string(o.Verb)
	}
	return string(o.Verb) + "." + o.Layer
}

// parse reads an order of a file with that name.
func parse(name string, data []byte) (Order, error) {
	var o Order
	if err := json.Unmarshal(data, &o); err != nil {
		return Order{}, fmt.Errorf("not an order: %w", err)
	}
	verb, layer, named := strings.Cut(name, ".")
	if o.Verb, o.Layer = Verb(verb), layer; named && layer == "" {
		return Order{}, errors.New("not an order: its name ends with a dot")
	}
	return o, o.check()
}

func (o Order) check() error {
	switch {
	case !slices.Contains([]Verb{Pause, Retry, Sync}, o.Verb):
		return fmt.Errorf("not an order: it is not known what %q is", o.Verb)
	case o.Layer != "" && (o.Verb == Sync || !layerName.MatchString(o.Layer)):
		return fmt.Errorf("not an order: %q is not the name of a layer", o.Layer)
	case o.Verb == Pause && (o.For <= 0 || o.For > MaxPause):
		return fmt.Errorf("a pause lasts more than nothing, and at most a year, not %s", o.For)
	case len(o.Reason) > maxReason:
		return fmt.Errorf("a reason has at most %d letters", maxReason)
	}
	return nil
}
