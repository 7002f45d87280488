// Package system is what drivers do to the machine that they bring up a node on.
package system

// PreflightError is what keeps a host from becoming a node.
type PreflightError struct{ what, hint string }

// Refuse says what is wrong with the host, and what to do about it.
func Refuse(what, hint string) error { return &PreflightError{what, hint} }

func (e *PreflightError) Error() string { return e.what }

// Hint says what to do about it.
func (e *PreflightError) Hint() string { return e.hint }

// CheckSystemd refuses a host that does not run systemd.
func CheckSystemd() error {
	if !Exists("/run/systemd/system") {
		return Refuse("this host does not run systemd", "what runs Kubernetes are units of systemd; use a host that boots with it")
	}
	return nil
}
