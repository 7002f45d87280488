package main

import (
	"bufio"
	"io"
	"os"
)

const maxLog = 4 << 20 // bytes of one log file; one older file is kept beside it

// logFile takes what processes write into its pipe. Its file never grows past
// maxLog: it then becomes PATH.1, and a new one begins.
type logFile struct {
	pipe *os.File
	path string
	file *os.File
	size int64
}

func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	if err := l.open(); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		l.file.Close()
		return nil, err
	}
	l.pipe = w
	go func() {
		defer r.Close()
		defer func() { l.file.Close() }()
		lines := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := lines.ReadSlice('\n')
			l.write(line)
			if err != nil && err != bufio.ErrBufferFull {
				return
			}
		}
	}()
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	l.file = f
	l.size, err = f.Seek(0, io.SeekEnd)
	return err
}

// write drops what cannot be written: a full disk must not stop the cluster.
func (l *logFile) write(line []byte) {
	if l.size+int64(len(line)) > maxLog {
		l.file.Close()
		_ = os.Rename(l.path, l.path+".1")
		if err := l.open(); err != nil {
			return
		}
	}
	n, _ := l.file.Write(line)
	l.size += int64(n)
}

// Close lets the copying end once no process holds the pipe any more.
func (l *logFile) Close() { l.pipe.Close() }
