package peers

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer = 1 << 20 // bytes
	askTime   = 10 * time.Second
)

// Client asks the other hosts of the site.
type Client struct {
	Key  ed25519.PrivateKey
	Port int // default [Port]
}

// Cluster asks a member what it knows of the cluster.
func (c *Client) Cluster(ctx context.Context, of Member) (Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	data, err := c.ask(ctx, of, http.MethodGet, "/v1/cluster")
	if err != nil {
		return Cluster{}, err
	}
	return parseCluster(data)
}

// Join asks a member for what this host needs to join the cluster.
func (c *Client) Join(ctx context.Context, through Member) (Material, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	data, err := c.ask(ctx, through, http.MethodPost, "/v1/join")
	if err != nil {
		return nil, err
	}
	var m Material
	err = parse(data, &m)
	return m, err
}

// Away asks a member to have the cluster do without this host: its pods move, also where
// they did not just before if that is to be tried anew.
func (c *Client) Away(ctx context.Context, through Member, anew bool) error {
	path := "/v1/away"
	if anew {
		path += "?anew=true"
	}
	return c.tell(ctx, through, path)
}

// Back tells a member that this host is there again.
func (c *Client) Back(ctx context.Context, through Member) error {
	return c.tell(ctx, through, "/v1/back")
}

// Leave has a member take this host's node out of the cluster: its role has changed, or
// it goes back to a version.
func (c *Client) Leave(ctx context.Context, through Member, back string) error {
	path := "/v1/leave"
	if back != "" {
		path += "?back=" + url.QueryEscape(back)
	}
	return c.tell(ctx, through, path)
}

func (c *Client) tell(ctx context.Context, m Member, path string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := c.ask(ctx, m, http.MethodPost, path)
	return err
}

func (c *Client) ask(ctx context.Context, m Member, method, path string) ([]byte, error) {
	if m.Network.Address == "" {
		return nil, fmt.Errorf("host %s has no address in the fleet", m.Name)
	}
	want, err := parseIdentity(m.Identity)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", m.Name, err)
	}
	own, err := certificate(c.Key)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DisableKeepAlives:   true,
		TLSHandshakeTimeout: askTime,
		DialContext:         (&net.Dialer{Timeout: askTime}).DialContext,
		TLSClientConfig: config(own, func(key ed25519.PublicKey) error {
			if !want.Equal(key) {
				return fmt.Errorf("the machine at %s has the key %s, not that of %s", m.Network.Address, fingerprint(key), m.Name)
			}
			return nil
		}),
	}
	port := c.Port
	if port == 0 {
		port = Port
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+net.JoinHostPort(m.Network.Address, strconv.Itoa(port))+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask host %s: %w", m.Name, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask host %s: %w", m.Name, err)
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("host %s answers with more than %d bytes", m.Name, maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return nil, &RefusedError{m.Name, printable(data)}
	}
	return data, nil
}

// parseCluster reads an answer. What later versions add to it is ignored.
func parseCluster(data []byte) (Cluster, error) {
	var c Cluster
	err := parse(data, &c)
	return c, err
}

func parse(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("a peer's answer: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("a peer's answer goes on after its end")
	}
	return nil
}

// printable is a reason as it may be shown to people.
func printable(reason []byte) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return ' '
		}
		return r
	}, string(reason[:min(len(reason), 1000)]))
	return strings.TrimSpace(text)
}
