package gitsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Source says where commits come from. Its zero times mean the defaults.
type Source struct {
	URL string // http or https

	Answer   time.Duration // to the first answer; default 30 seconds
	Idle     time.Duration // between two pieces of what is sent; default 1 minute
	Deadline time.Duration // for one poll; default 30 minutes
}

func (s Source) withDefaults() Source {
	s.Answer = cmp.Or(s.Answer, 30*time.Second)
	s.Idle = cmp.Or(s.Idle, time.Minute)
	s.Deadline = cmp.Or(s.Deadline, 30*time.Minute)
	return s
}

const sourceTip = "write it like https://git.example.com/fleet.git"

// address parses the URL of a source, which must not hold a secret: URLs end up
// in logs and in lists of processes.
func (s Source) address() (*url.URL, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, &hinted{errors.New("source is not a URL"), sourceTip}
	}
	if scheme := strings.ToLower(u.Scheme); (scheme != "http" && scheme != "https") || u.Host == "" {
		return nil, &hinted{fmt.Errorf("source %s: only http:// and https:// are fetched from", u.Redacted()), sourceTip}
	}
	if u.User != nil {
		return nil, &hinted{fmt.Errorf("source %s: a URL must not hold a user or a password", withoutUser(u)), sourceTip}
	}
	return u, nil
}

func withoutUser(u *url.URL) string {
	shown := *u
	shown.User = nil
	return shown.String()
}

// addSources makes a poller of each source, and one of all bundle folders.
func (r *Repository) addSources(o Options) error {
	var sources []Source
	for _, raw := range o.Remotes {
		sources = append(sources, Source{URL: raw})
	}
	known := make(map[string]bool)
	for i, s := range append(sources, o.Sources...) {
		u, err := s.address()
		if err != nil {
			return err
		}
		name := withoutUser(u)
		if known[name] {
			return fmt.Errorf("source %s is named twice", name)
		}
		known[name] = true
		m, err := newRemote(i, u, s.withDefaults(), r.limits)
		if err != nil {
			return fmt.Errorf("source %s: %w", name, err)
		}
		r.pollers = append(r.pollers, &poller{name: name, fetch: func(ctx context.Context) error { return r.fetchRemote(ctx, m) }})
	}
	if len(r.bundles) > 0 {
		r.pollers = append(r.pollers, &poller{fetch: r.fetchBundles})
	}
	return nil
}
