package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// proxy hands requests on to the API that listens on loopback: those that come with a user's certificate as that user's.
func (r *reception) proxy(api string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		pair := ""
		if len(req.TLS.VerifiedChains) > 0 {
			pair = "front-proxy.pem" // which the API believes who asks
		}
		client, err := trusting(r.cfg.Dir, "ca.crt", pair)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer client.CloseIdleConnections()
		target, err := url.Parse(api)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		(&httputil.ReverseProxy{Transport: client.Transport, Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			introduce(p.In, p.Out)
		}}).ServeHTTP(w, req)
	})
}

// introduce says who asks, as --requestheader-username-headers of kube-apiserver wants it. Nobody says so of himself.
func introduce(in, out *http.Request) {
	for name := range out.Header {
		if strings.HasPrefix(name, "X-Remote-") {
			out.Header.Del(name)
		}
	}
	if len(in.TLS.VerifiedChains) == 0 {
		return
	}
	user := in.TLS.PeerCertificates[0].Subject
	out.Header.Set("X-Remote-User", user.CommonName)
	for _, group := range user.Organization {
		out.Header.Add("X-Remote-Group", group)
	}
}
