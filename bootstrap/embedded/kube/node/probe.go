package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// probe tells whether a process is ready: an HTTPS address that answers 200,
// or a unix socket that accepts.
type probe struct {
	URL    string `json:"url,omitempty"`
	CA     string `json:"ca,omitempty"`   // file
	Cert   string `json:"cert,omitempty"` // file with a certificate and its key
	Socket string `json:"socket,omitempty"`
}

const probeEvery = 50 * time.Millisecond

// wait returns when the process is ready, or with ctx's error. A nil probe is always ready.
func (p *probe) wait(ctx context.Context) error {
	for p != nil && p.try(ctx) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(probeEvery):
		}
	}
	return ctx.Err()
}

func (p *probe) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if p.Socket != "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.Socket)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", p.URL, resp.Status)
	}
	return nil
}

func (p *probe) client() (*http.Client, error) {
	ca, err := os.ReadFile(p.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	cert, err := tls.LoadX509KeyPair(p.Cert, p.Cert)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}}, nil
}
