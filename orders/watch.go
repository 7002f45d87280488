package orders

import (
	"context"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
)

// late is how late an order may be heard on a host whose inotify instances are all
// taken, as a node's with many pods may be.
const late = 3 * time.Second

// Watch signals whenever something changes in the folder, until ctx ends; signals
// are merged, and may be of nothing. The folder is made if it is not there.
func (f Folder) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := f.make(); err != nil {
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	changed := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		look := time.NewTicker(late)
		go func() {
			defer look.Stop()
			signal(ctx, changed, look.C, nil)
		}()
		return changed, nil
	}
	if err := w.Add(f.Path); err != nil {
		w.Close()
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	go func() {
		defer w.Close()
		signal(ctx, changed, w.Events, w.Errors)
	}()
	return changed, nil
}

// signal passes on that something happened, until ctx ends or nothing more can.
func signal[T any](ctx context.Context, changed chan<- struct{}, events <-chan T, errors <-chan error) {
	defer close(changed)
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-errors: // at worst, a signal is late until the next look
			if !open {
				return
			}
		case _, open := <-events:
			if !open {
				return
			}
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}
