// Command web is the example fleet's application: it serves a text from a file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve HTTP on")
	text := flag.String("text", "/etc/web/page.txt", "file to serve")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := serve(ctx, *listen, page(*text, os.Getenv))
	stop()
	if err != nil {
		slog.Error("web stopped", "error", err)
		os.Exit(1)
	}
}

// page answers /healthz, and every other path with the greeting, the text in
// the file and the site. The file is read for each request, so that a changed
// one shows at once.
func page(file string, getenv func(string) string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(file); err != nil {
			http.Error(w, "the text is missing", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		text, err := os.ReadFile(file)
		if err != nil {
			http.Error(w, "the text is missing", http.StatusServiceUnavailable)
			return
		}
		if getenv("MAINTENANCE") == "true" {
			text = []byte("Closed for maintenance.\n")
		}
		fmt.Fprintf(w, "%s!\n%s-- %s\n", getenv("GREETING"), text, getenv("SITE"))
	})
	return mux
}

// serve answers until ctx ends, and then finishes what it has begun.
func serve(ctx context.Context, listen string, handler http.Handler) error {
	srv := &http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		shutdown, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		done <- srv.Shutdown(shutdown)
	}()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}
