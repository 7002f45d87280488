package orders

import (
	"context"
	"fmt"

	"github.com/fsnotify/fsnotify"
)

// Watch signals whenever something changes in the folder, until ctx ends; signals
// are merged. The folder is made if it is not there.
func (f Folder) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := f.make(); err != nil {
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	if err := w.Add(f.Path); err != nil {
		w.Close()
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		defer w.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case _, open := <-w.Errors: // at worst, a signal is late until the next look
				if !open {
					return
				}
			case _, open := <-w.Events:
				if !open {
					return
				}
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed, nil
}
