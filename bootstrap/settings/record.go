package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/durable"
)

// record is what was done to the machine, and what it takes to take that back.
type record struct {
	Sysctls map[string]sysctl `json:"sysctls,omitempty"` // by their place below /proc/sys
	Modules map[string]module `json:"modules,omitempty"`
	Files   map[string]file   `json:"files,omitempty"`  // of ours, by path
	Orders  []string          `json:"orders,omitempty"` // that systemd has yet to get
}

// sysctl is a parameter that is kept.
type sysctl struct {
	Before string `json:"before"`
	Kept   string `json:"kept"`
}

// module is one that is kept loaded.
type module struct {
	Loaded  bool   `json:"loaded,omitempty"`  // by us
	BuiltIn string `json:"builtIn,omitempty"` // boot for which it is known to be part of the kernel
}

// file is one of ours: there was none of its name before.
type file struct {
	Kept  string   `json:"kept"`
	After []string `json:"after,omitempty"` // orders to systemd, once it is gone
}

func (r record) empty() bool {
	return len(r.Sysctls)+len(r.Modules)+len(r.Files)+len(r.Orders) == 0
}

func (k *keeper) recordFile() string { return filepath.Join(k.dir, "settings.json") }

func (k *keeper) readRecord() (record, error) {
	rec := record{Sysctls: map[string]sysctl{}, Modules: map[string]module{}, Files: map[string]file{}}
	if _, err := durable.ReadJSON(k.recordFile(), &rec); err != nil {
		return rec, fmt.Errorf("what this host was like before cannot be told: %w", err)
	}
	return rec, nil
}

func (k *keeper) note(rec *record) error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	return durable.WriteJSON(k.recordFile(), rec)
}

// tidy removes a record of nothing.
func (k *keeper) tidy(rec record) error {
	if !rec.empty() {
		return nil
	}
	if err := os.Remove(k.recordFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
