package peers

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of the port: what a peer sends is a few lines, and what it gets is small.
const (
	maxConnections = 64
	maxHeader      = 8 << 10 // bytes
	readTime       = 10 * time.Second
	answerTime     = 3 * time.Minute // giving may have to remove what the host was before, and letting go waits for its pods
)

// Server answers the other hosts of the site. Its port is closed until [Server.Admit].
type Server struct {
	Key   ed25519.PrivateKey
	Local Local
	Log   *slog.Logger

	// Address to listen at; default all, at [Port].
	Address string

	mu       sync.Mutex
	members  map[string]Member // by their key's bytes
	own      string            // name of this host
	listener net.Listener
	server   *http.Server
	refused  time.Time // when the log last said so
}

// Admit says who is answered from now on: the other members of the site. Without
// others the port is closed.
func (s *Server) Admit(own string, members []Member) error {
	admitted := map[string]Member{}
	for _, m := range members {
		key, err := parseIdentity(m.Identity)
		if err != nil {
			return fmt.Errorf("host %s: %w", m.Name, err)
		}
		if m.Name != own {
			admitted[string(key)] = m
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own, s.members = own, admitted
	switch {
	case len(admitted) == 0:
		return s.close()
	case s.listener == nil:
		return s.open()
	}
	return nil
}

// Close closes the port.
func (s *Server) Close() error { return s.Admit("", nil) }

func (s *Server) close() error {
	if s.listener == nil {
		return nil
	}
	s.Log.Info("port for peers closed", "at", s.listener.Addr().String())
	listener, server := s.listener, s.server
	s.listener, s.server = nil, nil
	err := server.Close()
	if again := listener.Close(); !errors.Is(again, net.ErrClosed) {
		err = errors.Join(err, again) // a server that has not begun to serve leaves its listener open
	}
	return err
}

func (s *Server) open() error {
	own, err := certificate(s.Key)
	if err != nil {
		return err
	}
	address := s.Address
	if address == "" {
		address = ":" + strconv.Itoa(Port)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for the other hosts of the site: %w", err)
	}
	s.listener = listener
	s.server = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: readTime, ReadTimeout: readTime, WriteTimeout: answerTime, MaxHeaderBytes: maxHeader,
		TLSConfig: config(own, s.welcome), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	s.server.SetKeepAlivesEnabled(false) // each question is one connection, and whoever is removed meanwhile asks no more
	s.Log.Info("port for peers open", "at", listener.Addr().String())
	go func(server *http.Server) {
		if err := server.ServeTLS(&limited{Listener: listener, slots: make(chan struct{}, maxConnections)}, "", ""); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.Log.Error("peers are not answered any more", "error", err)
		}
	}(s.server)
	return nil
}

// Listening is the address of the open port; empty: it is closed.
func (s *Server) Listening() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// welcome refuses, during the handshake, whoever is no member.
func (s *Server) welcome(key ed25519.PublicKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.members[string(key)]; ok {
		return nil
	}
	if time.Since(s.refused) > time.Minute { // a stranger must not fill the log
		s.refused = time.Now()
		s.Log.Warn("peer refused: no active host of this site has its key", "key", fingerprint(key))
	}
	return errors.New("no active host of this site")
}

// member is the one that asks, as the fleet has it now.
func (s *Server) member(r *http.Request) (Member, bool) {
	if r.TLS == nil {
		return Member{}, false
	}
	key, err := keyOf(*r.TLS)
	if err != nil {
		return Member{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.members[string(key)]
	return m, ok
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/cluster", s.answer(func(ctx context.Context, _ Member, _ url.Values) (any, error) { return s.Local.Cluster(ctx) }))
	mux.HandleFunc("POST /v1/join", s.answer(func(ctx context.Context, m Member, _ url.Values) (any, error) {
		material, err := s.Local.Give(ctx, m)
		if err == nil {
			s.Log.Info("peer was given what joining takes", "to", m.Name, "role", string(m.Role), "files", strings.Join(slices.Sorted(maps.Keys(material)), " "))
		}
		return material, err
	}))
	mux.HandleFunc("POST /v1/away", s.answer(func(ctx context.Context, m Member, words url.Values) (any, error) {
		return nil, s.Local.Away(ctx, m, words.Has("anew"))
	}))
	mux.HandleFunc("POST /v1/back", s.answer(func(ctx context.Context, m Member, _ url.Values) (any, error) { return nil, s.Local.Back(ctx, m) }))
	mux.HandleFunc("POST /v1/leave", s.answer(func(ctx context.Context, m Member, words url.Values) (any, error) {
		back := words.Get("back")
		err := s.Local.LetGo(ctx, m, back)
		if err == nil {
			s.Log.Info("peer was let go, to join anew", "peer", m.Name, "role", string(m.Role), "back", back)
		}
		return nil, err
	}))
	return mux
}

// answer lets members ask, and nobody else.
func (s *Server) answer(ask func(context.Context, Member, url.Values) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, ok := s.member(r)
		if !ok {
			http.Error(w, "no active host of this site", http.StatusForbidden)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		got, err := ask(ctx, m, r.URL.Query())
		if err != nil {
			s.Log.Debug("peer not answered", "peer", m.Name, "asked", r.URL.Path, "error", err)
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(got) // a peer that is gone asks again
	}
}

// limited accepts so many connections at a time as it has slots.
type limited struct {
	net.Listener
	slots chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slotted{Conn: conn, free: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			conn.Close() // it may come again
		}
	}
}

type slotted struct {
	net.Conn
	free func()
}

func (c *slotted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
