package events

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

// syncAfter is how long the newest events may be lost by a power cut.
const syncAfter = time.Second

// Log is written to by one agent.
type Log struct {
	dir  string
	disk durable.Disk
	size int64 // of each file

	mu     sync.Mutex
	file   *durable.File // nil: to be opened
	at     int64         // its size
	torn   bool          // its last line may have no end
	sync   *time.Timer   // nil: all is on disk
	closed bool
}

// Open opens the log in an agent's data folder, which is made at the first event.
func Open(dataDir string) *Log { return &Log{dir: dataDir, size: fileSize} }

// Append writes an event. One that cannot be written is lost, and tried to be
// written no more.
func (l *Log) Append(e Event) error {
	line, err := e.line()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	if err := l.write(line); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if l.sync == nil {
		l.sync = time.AfterFunc(syncAfter, l.flush)
	}
	return nil
}

func (l *Log) write(line []byte) (err error) {
	if err := l.open(); err != nil {
		return err
	}
	if l.at+int64(len(line)) > l.size {
		if err := l.turn(); err != nil {
			return err
		}
	}
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.file.Write(line)
	l.at += int64(n)
	l.torn = err != nil
	return err
}

// open finds out where the log ends.
func (l *Log) open() error {
	if l.file != nil {
		return nil
	}
	file, err := l.disk.Append(filepath.Join(l.dir, newerFile))
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	l.file, l.at, l.torn = file, info.Size(), false
	if l.at > 0 {
		last := make([]byte, 1)
		_, err := file.ReadAt(last, l.at-1)
		l.torn = err != nil || last[0] != '\n'
	}
	return nil
}

// turn begins a new file; what the older one holds is forgotten.
func (l *Log) turn() error {
	if err := l.shut(); err != nil {
		return err
	}
	if err := l.disk.Rename(filepath.Join(l.dir, newerFile), filepath.Join(l.dir, olderFile)); err != nil {
		return err
	}
	return l.open()
}

// shut closes the file, with all of it on disk.
func (l *Log) shut() error {
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	err := file.Sync()
	file.Close()
	return err
}

// flush puts what was written on disk. If that is not possible, nothing better can
// be done than to go on.
func (l *Log) flush() {
	l.mu.Lock()
	file := l.file
	l.sync = nil
	l.mu.Unlock()
	if file != nil {
		_ = file.Sync() // it may be closed by now, and then is on disk
	}
}

// Close puts all events on disk.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.sync != nil {
		l.sync.Stop()
	}
	return l.shut()
}
