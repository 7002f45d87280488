package gitsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// settle is how long a bundle folder must be quiet before it is looked at: a
// file that is being copied is not read half.
const settle = 300 * time.Millisecond

// Watch sends when a bundle folder may hold something new, also one that did not
// exist or had nothing mounted on it before. Signals are merged, so one receive
// may stand for many changes. The channel is closed when ctx ends.
func (r *Repository) Watch(ctx context.Context) (<-chan struct{}, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch bundle folders: %w", err)
	}
	w := &watcher{notify: notify, watched: make(map[string]bool)}
	for _, dir := range r.bundles {
		if dir, err = filepath.Abs(dir); err != nil {
			notify.Close()
			return nil, fmt.Errorf("watch bundle folders: %w", err)
		}
		w.dirs = append(w.dirs, dir)
	}
	mounts, err := newMountWatch()
	if err != nil {
		notify.Close()
		return nil, fmt.Errorf("watch mounts: %w", err)
	}
	w.arm()
	changed := make(chan struct{}, 1)
	mounted := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() { mounts.run(mounted) })
	go func() {
		defer close(changed)
		w.run(ctx, mounted, changed)
		notify.Close()
		mounts.stop()
		wg.Wait()
		mounts.close()
	}()
	return changed, nil
}

// watcher follows bundle folders, and the nearest existing folder above each.
type watcher struct {
	notify  *fsnotify.Watcher
	dirs    []string
	watched map[string]bool
}

func (w *watcher) run(ctx context.Context, mounted <-chan struct{}, changed chan<- struct{}) {
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-w.notify.Events:
			if !ok {
				return
			}
			if w.concerns(event.Name) {
				w.arm()
				quiet.Reset(settle)
			}
		case <-w.notify.Errors: //nolint:errcheck // an overflow, or a folder that went away: look again
			w.arm()
			quiet.Reset(settle)
		case <-mounted:
			w.disarm() // the old watches are on what the mount hides
			w.arm()
			quiet.Reset(settle)
		case <-quiet.C:
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}

// concerns leaves out what happens beside the bundle folders.
func (w *watcher) concerns(path string) bool {
	for _, dir := range w.dirs {
		if path == dir || strings.HasPrefix(path, dir+"/") || strings.HasPrefix(dir, path+"/") {
			return true
		}
	}
	return false
}

// arm watches what is there now, and looks again until nothing appeared between
// looking and watching.
func (w *watcher) arm() {
	wanted := w.wanted()
	for range 10 { // each time, somebody makes folders just now
		for path := range w.watched {
			if !wanted[path] {
				_ = w.notify.Remove(path) // an error means that it is gone already
			}
		}
		for path := range wanted {
			// Added each time: a folder may be another one of the same name by now.
			// What cannot be watched is left to the next poll.
			_ = w.notify.Add(path)
		}
		w.watched = wanted
		if wanted = w.wanted(); maps.Equal(wanted, w.watched) {
			return
		}
	}
}

// wanted lists the bundle folders that exist, and the nearest folder above each.
func (w *watcher) wanted() map[string]bool {
	wanted := make(map[string]bool)
	for _, dir := range w.dirs {
		if isFolder(dir) {
			wanted[dir] = true
		}
		above := filepath.Dir(dir)
		for !isFolder(above) && above != filepath.Dir(above) {
			above = filepath.Dir(above)
		}
		wanted[above] = true
	}
	return wanted
}

func (w *watcher) disarm() {
	for path := range w.watched {
		_ = w.notify.Remove(path)
	}
	w.watched = nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// mountWatch waits for changes of the mount table, which inotify does not see:
// poll(2) on /proc/self/mountinfo reports them as POLLPRI, see proc(5).
type mountWatch struct {
	// table is a bare descriptor: the runtime polls an os.File too, and whoever
	// polls first takes the news away from the other.
	table int
	wake  int // eventfd
}

func newMountWatch() (*mountWatch, error) {
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(table)
		return nil, err
	}
	return &mountWatch{table, wake}, nil
}

func (m *mountWatch) run(mounted chan<- struct{}) {
	for {
		fds := []unix.PollFd{{Fd: int32(m.table), Events: unix.POLLPRI}, {Fd: int32(m.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil || fds[1].Revents != 0 {
			return
		}
		select {
		case mounted <- struct{}{}:
		default:
		}
	}
}

func (m *mountWatch) stop() { _, _ = unix.Write(m.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (m *mountWatch) close() {
	unix.Close(m.table)
	unix.Close(m.wake)
}
