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
	probesInARow = 4 // rules for a changed Service take kube-proxy a second or two, in which the old ones answer
)

// probe asks each probe until all succeed some times in a row, or ctx ends. It
// returns those that did not the last time, with what was the matter.
func probe(ctx context.Context, probes []fleet.Probe) []string {
	problems := make([]error, len(probes))
	for i := range problems {
		problems[i] = errors.New("there was no time to ask")
	}
	for row := 0; row < probesInARow && len(probes) > 0; {
		row++
		for i, p := range probes {
			if err := ask(ctx, p); err == nil || ctx.Err() == nil {
				problems[i] = err
			}
			if problems[i] != nil {
				row = 0
			}
		}
		if row < probesInARow && !sleep(ctx, probeEvery) {
			break
		}
	}
	var failing []string
	for i, p := range probes {
		if problems[i] != nil {
			failing = append(failing, fmt.Sprintf("probe %s%s: %s", p.HTTP, p.TCP, shorten(problems[i].Error(), 300)))
		}
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
