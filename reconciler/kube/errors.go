package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// objectError says of an object what could not be done to it, why, and what to do about it.
func objectError(verb string, o reconciler.Object, err error) *reconciler.ObjectError {
	return &reconciler.ObjectError{Verb: verb, Object: o, Reason: reason(err), Tip: tip(err), Err: err}
}

func tip(err error) string {
	switch {
	case isImmutable(err):
		return "give the object another name, or let the commit say that it may be made anew"
	case isNoMatch(err):
		return "the layer that brings the CustomResourceDefinition must come before it: see dependsOn"
	case isNoNamespace(err):
		return "the layer that brings the Namespace must come before it: see dependsOn"
	case strings.Contains(err.Error(), "failed calling webhook"):
		return "mend what serves the webhook; or, if it is to go, take it out of the fleet, or delete its configuration: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
	default:
		return ""
	}
}

// errDeleting is the reason of an object that is on its way out: what is applied to it is lost.
type errDeleting struct {
	since      metav1.Time
	finalizers []string
}

func (e errDeleting) Error() string {
	msg := "it is being deleted since " + e.since.UTC().Format("2006-01-02 15:04:05 MST")
	if len(e.finalizers) > 0 {
		msg += ", held by " + strings.Join(e.finalizers, ", ")
	}
	return msg
}

// errUnreachable wraps an error that says more about the API server than about
// what it was asked for: it is [reconciler.ErrUnreachable].
type errUnreachable struct{ err error }

func (e errUnreachable) Error() string        { return e.err.Error() }
func (e errUnreachable) Unwrap() error        { return e.err }
func (e errUnreachable) Is(target error) bool { return target == reconciler.ErrUnreachable }

// errGuarded wraps what a webhook or policy of admission refused, or did not answer
// for: it is [reconciler.ErrGuarded].
type errGuarded struct{ err error }

func (e errGuarded) Error() string        { return e.err.Error() }
func (e errGuarded) Unwrap() error        { return e.err }
func (e errGuarded) Is(target error) bool { return target == reconciler.ErrGuarded }

// isGuarded looks at the words: the API server has no reason code for it.
func isGuarded(err error) bool {
	return judgement(err) != nil && slices.ContainsFunc([]string{"failed calling webhook", "admission webhook", "AdmissionPolicy "},
		func(words string) bool { return strings.Contains(err.Error(), words) })
}

// answered marks errors that are not the API server's answer as [errUnreachable], and
// those that are for others to undo as [errGuarded].
// The context is that of the work, which a request's own time limit is not part of.
func answered(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return errUnreachable{fmt.Errorf("no answer of the API server in time: %w", err)}
	case unreachable(err), overwhelmed(err):
		return errUnreachable{err}
	case isGuarded(err):
		return errGuarded{err}
	default:
		return err
	}
}

// errKeptOut is what refused an object of Holdfast's own on admission.
type errKeptOut struct{ error }

func (e errKeptOut) Unwrap() error { return e.error }

// Hint says how to get on: nothing can be applied, so that no commit helps.
func (e errKeptOut) Hint() string {
	return "have the webhook or policy leave out the namespace " + fleet.SystemNamespace + ", or take it out of the fleet; then delete it by hand, as nothing can be applied until it is gone: " +
		"kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicybindings"
}

// ownAnswer is answered for a write of an object of Holdfast's own.
func ownAnswer(ctx context.Context, err error) error {
	if err = answered(ctx, err); errors.Is(err, reconciler.ErrGuarded) {
		return errKeptOut{err}
	}
	return err
}

// reason is the API server's own words, without the object's name, which is said already.
func reason(err error) string {
	fields := causes(judgement(err))
	switch {
	case isImmutable(err):
		return "a field that cannot be changed on a live object differs: " + fields
	case fields != "":
		return fields
	case isNoMatch(err):
		return "the cluster does not know this kind"
	default:
		return strings.Join(strings.Fields(err.Error()), " ")
	}
}

// judgement is what the API server answered, or nil if the error is not its answer.
func judgement(err error) *metav1.Status {
	var answered apierrors.APIStatus
	if !errors.As(err, &answered) {
		return nil
	}
	status := answered.Status()
	return &status
}

// causes lists an invalid object's fields: "spec.clusterIP: field is immutable".
func causes(s *metav1.Status) string {
	if s == nil || s.Reason != metav1.StatusReasonInvalid || s.Details == nil {
		return ""
	}
	const most = 5
	var fields []string
	for n, cause := range s.Details.Causes {
		if n == most {
			fields = append(fields, fmt.Sprintf("and %d more", len(s.Details.Causes)-most))
			break
		}
		msg := shorten(withoutValue(cause.Message), 300)
		if cause.Field != "" && cause.Field != "[]" { // the latter is all of the object
			msg = cause.Field + ": " + msg
		}
		fields = append(fields, msg)
	}
	return strings.Join(fields, "; ")
}

// withoutValue leaves out a whole object that the API server quotes before it
// says what is wrong with it.
func withoutValue(msg string) string {
	kind, rest, found := strings.Cut(msg, ": {")
	end := strings.LastIndex(rest, "}: ")
	if !found || end < 0 {
		return msg
	}
	return kind + ": " + rest[end+len("}: "):]
}

// shorten cuts the middle out of long texts: the API server quotes whole values before it says what is wrong.
func shorten(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most/2]+" … "+s[len(s)-most/2:], "")
}

// isImmutable looks at the words: the API server has no reason code for it.
func isImmutable(err error) bool {
	if !apierrors.IsInvalid(err) {
		return false
	}
	return slices.ContainsFunc([]string{
		"immutable", "may not be changed", "may not change once set", "cannot change roleRef", "updates to parameters are forbidden",
		"updates to provisioner are forbidden", "updates to reclaimPolicy are forbidden", "updates to volumeBindingMode are forbidden",
		"updates to statefulset spec for fields other than", "pod updates may not change fields other than",
	}, func(words string) bool { return strings.Contains(err.Error(), words) })
}

// isNoMatch reports a kind that the API server does not serve (yet). A 404
// without the name of an object comes from a resource that is gone.
func isNoMatch(err error) bool {
	if meta.IsNoMatchError(err) {
		return true
	}
	status := judgement(err)
	if status == nil || status.Reason != metav1.StatusReasonNotFound {
		return false
	}
	return strings.HasPrefix(status.Message, "the server could not find the requested resource") ||
		strings.HasPrefix(status.Message, "404 page not found")
}

// isNoNamespace reports an object whose namespace is not there (yet).
func isNoNamespace(err error) bool {
	status := judgement(err)
	return status != nil && status.Reason == metav1.StatusReasonNotFound && status.Details != nil && status.Details.Kind == "namespaces"
}

// unreachable reports that the request failed before the API server judged it.
func unreachable(err error) bool {
	if err == nil || isNoMatch(err) {
		return false
	}
	return judgement(err) == nil && !errors.Is(err, reconciler.ErrNotLeader) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// overwhelmed reports that the API server, or the etcd behind it, has troubles
// of its own, so that it did not judge what it was asked for.
func overwhelmed(err error) bool {
	return apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err) && strings.Contains(err.Error(), "etcdserver: ")
}
