package reconciler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ObjectError says what could not be done to one object, and why.
type ObjectError struct {
	Verb   string // "apply", "establish", "recreate", "delete", "orphan"
	Object Object
	Reason string // for people
	Tip    string // what can be done about it; may be empty
	Err    error
}

func (e *ObjectError) Error() string { return e.Verb + " " + e.Object.String() + ": " + e.Reason }
func (e *ObjectError) Unwrap() error { return e.Err }

// Hint says what a person can do about it, or nothing.
func (e *ObjectError) Hint() string { return e.Tip }

// ImmutableError names objects that differ in what cannot be changed while they
// live. They are as they were; only [Cluster].Recreate makes them anew.
type ImmutableError struct {
	Objects []*ObjectError
}

func (e *ImmutableError) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns the error of each object.
func (e *ImmutableError) Unwrap() []error {
	errs := make([]error, len(e.Objects))
	for i, o := range e.Objects {
		errs[i] = o
	}
	return errs
}

// Names lists the objects.
func (e *ImmutableError) Names() []Object {
	names := make([]Object, len(e.Objects))
	for i, o := range e.Objects {
		names[i] = o.Object
	}
	return names
}

// UnhealthyError names each object of a layer that is not healthy, with the
// reason that a person needs. It wraps the reason why waiting ended: the
// context's error, or nil if all that is left has failed for good.
type UnhealthyError struct {
	Layer   string
	Objects []Unhealthy
	Probes  []string // that do not succeed, and why
	Err     error
}

// Unhealthy is one object that is not healthy.
type Unhealthy struct {
	Object Object
	Status string // as in kstatus: InProgress, Failed, NotFound, Terminating, Unknown
	Why    string
	Tip    string // what can be done about it; may be empty
}

func (e *UnhealthyError) Error() string {
	var lines []string
	for _, o := range e.Objects {
		lines = append(lines, fmt.Sprintf("%s is %s: %s", o.Object, o.Status, o.Why))
	}
	lines = append(lines, e.Probes...)
	return fmt.Sprintf("layer %s is not ready: %s", e.Layer, strings.Join(lines, "; "))
}

func (e *UnhealthyError) Unwrap() error { return e.Err }

// Hint says what a person can do about the first objects of which that is known.
func (e *UnhealthyError) Hint() string {
	const most = 3
	var tips []string
	for _, o := range e.Objects {
		if o.Tip != "" && !slices.Contains(tips, o.Tip) && len(tips) < most {
			tips = append(tips, o.Tip)
		}
	}
	return strings.Join(tips, "\n")
}
