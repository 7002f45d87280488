package reconciler

import (
	"errors"
	"math/rand/v2"
	"time"
)

// jitter spreads d by a tenth either way, so that a fleet does not act in step.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

// backoff returns how long to wait after the given number of failures in a
// row: first, doubled each time, at most limit, jittered.
func backoff(failures int, first, limit time.Duration) time.Duration {
	d := first
	for range failures - 1 {
		if d *= 2; d >= limit {
			return jitter(limit)
		}
	}
	return jitter(min(d, limit))
}

// longest is how long to wait at most before what failed with err is tried again. Who
// waits for other hosts says how often it is worth to ask.
func longest(err error) time.Duration {
	const limit = 5 * time.Minute
	var turn interface{ Poll() time.Duration }
	if errors.As(err, &turn) {
		return min(turn.Poll(), limit)
	}
	return limit
}
