package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// api is the cluster's, as one of those whose certificates a node has.
type api struct {
	client *http.Client
	url    string
}

func openAPI(dir, user, url string) (api, error) {
	client, err := trusting(dir, "ca.crt", user+".pem")
	if err == nil {
		client.Timeout = 10 * time.Second
	}
	return api{client, url}, err
}

// address is where the API listens.
func (a api) address() string { return strings.TrimPrefix(a.url, "https://") }

// trusting is a client of what an authority of an embedded node vouches for, which shows a certificate where one is named.
func trusting(dir, authority, pair string) (*http.Client, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "pki", authority))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AppendCertsFromPEM(ca)
	if pair != "" {
		file := filepath.Join(dir, "pki", pair)
		cert, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, nil
}

// list reads the objects that a path and a query lead to.
func list[T any](ctx context.Context, a api, path string) ([]T, error) {
	var found struct{ Items []T }
	data, err := fetch(ctx, a.client, a.url+path, nil, nil)
	if err == nil {
		err = json.Unmarshal(data, &found)
	}
	return found.Items, err
}

// The ways to change an object: parts of it, or all of it, which makes it where there is none.
const (
	mergePatch = "application/merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

func (a api) patch(ctx context.Context, path, way string, change map[string]any) error {
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = fetch(ctx, a.client, a.url+path+"?fieldManager=standin", body, func(r *http.Request) {
		r.Method = http.MethodPatch
		r.Header.Set("Content-Type", way)
	})
	return err
}
