package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const (
	probeEvery   = time.Second
	probeTimeout = 5 * time.Second
)

// probe asks each probe until it succeeds once, or ctx ends. It returns those
// that did not, with what was the matter the last time.
func probe(ctx context.Context, probes []fleet.Probe) []string {
	type asked struct {
		fleet.Probe
		problem error
	}
	var left []asked
	for _, p := range probes {
		left = append(left, asked{p, errors.New("there was no time to ask")})
	}
	for {
		var still []asked
		for _, a := range left {
			if err := ask(ctx, a.Probe); err != nil {
				if ctx.Err() == nil {
					a.problem = err
				}
				still = append(still, a)
			}
		}
		left = still
		if len(left) == 0 || !sleep(ctx, probeEvery) {
			break
		}
	}
	var failing []string
	for _, a := range left {
		failing = append(failing, fmt.Sprintf("probe %s%s: %s", a.HTTP, a.TCP, shorten(a.problem.Error(), 300)))
	}
	return failing
}

func ask(ctx context.Context, p fleet.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if p.TCP != "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.TCP)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.HTTP, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "holdfast")
	// No proxy, nor kept connection, nor other place than the one that is named.
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
	if err != nil {
		var at *url.Error // it names the URL, which the reader has seen
		if errors.As(err, &at) {
			return at.Err
		}
		return err
	}
	defer resp.Body.Close()
	good := p.Status == resp.StatusCode || p.Status == 0 && resp.StatusCode/100 == 2
	if good {
		return nil
	}
	const most = 200
	body, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // to be read by people
	return fmt.Errorf("it answers %s: %s", resp.Status, body)
}
