package events

import (
	"context"
	"log/slog"
	"slices"
)

// Progress is the name of the fact of a record that tells how far something is,
// which is no event.
const Progress = "progress"

// Handler returns one that makes an event of what is logged, but for what only
// those who look closely want to know, and passes it on.
func (l *Log) Handler(next slog.Handler) slog.Handler { return &handler{log: l, next: next} }

type handler struct {
	log   *Log
	next  slog.Handler
	attrs []slog.Attr
	group string
}

// Enabled implements [slog.Handler].
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler]. That an event is lost keeps nothing from the log.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		h.note(r)
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func (h *handler) note(r slog.Record) {
	e := Event{At: r.Time.UTC(), What: r.Message, Warning: r.Level >= slog.LevelWarn, Facts: map[string]string{}}
	for _, a := range h.attrs {
		add(e.Facts, "", a)
	}
	r.Attrs(func(a slog.Attr) bool { add(e.Facts, h.group, a); return true })
	if _, ok := e.Facts[Progress]; ok {
		return
	}
	_ = h.log.Append(e)
}

// add makes facts of an attribute; one without a value is none.
func add(facts map[string]string, group string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		for _, part := range value.Group() {
			add(facts, group+a.Key+".", part)
		}
		return
	}
	if text := value.String(); text != "" && a.Key != "" {
		facts[group+a.Key] = text
	}
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	other := *h
	other.next = h.next.WithAttrs(attrs)
	other.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		other.attrs = append(other.attrs, a)
	}
	return &other
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	other := *h
	other.next = h.next.WithGroup(name)
	other.group = h.group + name + "."
	return &other
}
