//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// mirror answers as a registry does, from an OCI layout and by digest alone, those
// who know its password.
type mirror struct{ layout string }

func (m mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "fleet" || password != "sesame" {
		w.Header().Set("WWW-Authenticate", `Basic realm="mirror"`)
		http.Error(w, "who is it?", http.StatusUnauthorized)
		return
	}
	digest, ok := strings.CutPrefix(path.Base(r.URL.Path), "sha256:")
	if !ok {
		http.NotFound(w, r)
		return
	}
	data, err := os.ReadFile(filepath.Join(m.layout, "blobs/sha256", path.Base(digest)))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	var manifest struct {
		MediaType string `json:"mediaType"`
	}
	if strings.Contains(r.URL.Path, "/manifests/") && json.Unmarshal(data, &manifest) == nil {
		w.Header().Set("Content-Type", manifest.MediaType)
	}
	_, _ = w.Write(data)
}
