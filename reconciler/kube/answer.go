package kube

import (
	"context"
	"net/http"
	"time"
)

// answer is what an HTTP response said outside its body.
type answer struct {
	status int
	date   time.Time // the server's clock, whole seconds

	warnings []string
}

type answerKey struct{}

// withAnswer returns a context in which the last response of a request is noted in the answer.
func withAnswer(ctx context.Context) (context.Context, *answer) {
	a := &answer{}
	return context.WithValue(ctx, answerKey{}, a), a
}

// recordAnswers notes responses for those who asked by withAnswer. The clients
// hide the status code, by which alone a server-side apply tells creation (201)
// from everything else (200).
func recordAnswers(next http.RoundTripper) http.RoundTripper {
	return recorder{next}
}

type recorder struct{ next http.RoundTripper }

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if a, ok := req.Context().Value(answerKey{}).(*answer); ok && resp != nil {
		a.status = resp.StatusCode
		a.date, _ = http.ParseTime(resp.Header.Get("Date"))
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below, to close idle connections.
func (r recorder) WrappedRoundTripper() http.RoundTripper { return r.next }
