package selfupdate

import (
	"fmt"
	"io"
	"os"
)

// BadError says that the fleet names a program that failed here before.
type BadError struct{ Verdict }

func (e *BadError) Error() string {
	return fmt.Sprintf("agent %s was tried and switched back: %s", e.Version, e.Why)
}

// Hint says what to do.
func (e *BadError) Hint() string {
	return "name another version in agent.yaml, or see why it failed in its log"
}

// MissingError says that the fleet names a program that is not on this host.
type MissingError struct {
	Program
	Err error
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("agent %s (%.19s) cannot be switched to: %v", e.Version, e.Digest, e.Err)
}

func (e *MissingError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *MissingError) Hint() string {
	return "bring it to the host: holdfast content add holdfast.dev/agent:" + e.Version + " FILE"
}

func openFile(path string) (io.ReadCloser, error) { return os.Open(path) }
