package selfupdate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Start says which program is to run: a path, or "" for the installed one, which
// calls it. A start of a trial is counted. With an error it returns what runs in
// place of what should.
func (s Slots) Start(now time.Time) (path string, err error) {
	st, err := s.load()
	if err != nil {
		return "", err
	}
	if st.Trial != nil {
		path, err := s.startTrial(st, now)
		if path != "" {
			return path, nil
		}
		after, loadErr := s.load()
		if loadErr != nil {
			return "", errors.Join(err, loadErr)
		}
		path, currentErr := s.current(after)
		return path, errors.Join(err, currentErr)
	}
	return s.current(st)
}

// current is the program of the current slot, if it is whole.
func (s Slots) current(st state) (string, error) {
	if st.Current == nil {
		return "", nil
	}
	path := s.path(st.Current.Slot)
	if err := check(path, st.Current.Digest); err != nil {
		return "", fmt.Errorf("agent %s does not start: %w", st.Current.Version, err)
	}
	return path, nil
}

// startTrial counts a start of the trial, or condemns it. An error says why it
// does not start.
func (s Slots) startTrial(st state, now time.Time) (string, error) {
	t := *st.Trial
	boot, err := bootID()
	if err != nil {
		return "", err
	}
	if t.Boot != boot {
		t.Boot, t.Starts = boot, 0
	}
	t.Starts++
	t.All++
	path := s.path(t.Slot)
	why := ""
	if err := check(path, t.Digest); err != nil {
		why = err.Error()
	} else if t.Starts > maxStarts || t.All > maxAllStarts {
		why = fmt.Sprintf("it was started %d times and loaded no revision", t.All-1)
	}
	if why != "" {
		return "", errors.Join(fmt.Errorf("agent %s does not start: %s", t.Version, why), s.save(st.condemn(why, now)))
	}
	st.Trial = &t
	if err := s.save(st); err != nil {
		return "", err // a start that is not counted is none
	}
	return path, nil
}

// Refuse condemns a trial that could not even be handed over to.
func (s Slots) Refuse(cause error, now time.Time) error {
	st, err := s.load()
	if err != nil || st.Trial == nil {
		return err
	}
	return s.save(st.condemn(cause.Error(), now))
}

// bootID tells one boot of the machine from the next, see random(4).
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// check compares the bytes of a program with its digest.
func check(path, digest string) error {
	have, err := digestOf(path)
	if err != nil {
		return err
	}
	if have != digest {
		return fmt.Errorf("%s has the digest %s, not %s", path, have, digest)
	}
	return nil
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}
