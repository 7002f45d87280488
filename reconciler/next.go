package reconciler

import "time"

// Next is what the agent does by itself unless something happens before.
type Next struct {
	What string    `json:"what"` // "tries again"
	At   time.Time `json:"at"`
}

// says puts into the status what comes next.
func (s *session) says(what string, in time.Duration) {
	s.rec.update(func(st *Status, now time.Time) { st.Next = &Next{what, now.Add(in).Truncate(time.Second)} })
}
