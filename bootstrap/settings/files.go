package settings

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// wantedFile is a file, and the orders that systemd gets when it changes.
type wantedFile struct {
	text  string
	after []string
	gone  []string // when it is removed
}

const head = "# Written by Holdfast.\n"

// files are those of the settings, path → file.
func (k *keeper) files(ctx context.Context, rec *record, want Wanted) (map[string]wantedFile, error) {
	files := map[string]wantedFile{}
	if len(want.Sysctls) > 0 {
		text := head
		for _, name := range slices.Sorted(maps.Keys(want.Sysctls)) {
			text += name + " = " + want.Sysctls[name] + "\n"
		}
		files["/etc/sysctl.d/90-holdfast.conf"] = wantedFile{text: text}
	}
	if len(want.Modules) > 0 {
		files["/etc/modules-load.d/holdfast.conf"] = wantedFile{text: head + strings.Join(want.Modules, "\n") + "\n"}
	}
	if want.Proxy.Used() {
		for _, unit := range want.Units {
			orders := []string{"daemon-reload", "try-restart " + unit + ".service"}
			files[system.UnitDir+unit+".service.d/holdfast-proxy.conf"] = wantedFile{proxyText(want.Proxy, want.Direct), orders, orders}
		}
	}
	if len(want.NTP) > 0 {
		path, f, err := k.timeFile(ctx, rec, want.NTP)
		if err != nil {
			return nil, err
		}
		files[path] = f
	}
	return files, nil
}

// proxyText is a drop-in of a unit, whose program finds the proxy in its environment.
func proxyText(p fleet.Proxy, direct []string) string {
	text := head + "[Service]\n"
	for _, variable := range []struct{ name, value string }{
		{"HTTP_PROXY", p.HTTP}, {"HTTPS_PROXY", p.HTTPS}, {"NO_PROXY", strings.Join(append(slices.Clone(direct), p.No...), ",")},
	} {
		if variable.value != "" {
			text += fmt.Sprintf("Environment=\"%s=%s\"\n", variable.name, strings.ReplaceAll(variable.value, "%", "%%"))
		}
	}
	return text
}

// write makes the files be as wanted, and has systemd heed what changed, also what
// changed before this was cut off.
func (k *keeper) write(ctx context.Context, rec *record, want map[string]wantedFile) error {
	changes := map[string]string{} // why
	for _, path := range slices.Sorted(maps.Keys(want)) {
		f := want[path]
		was, kept := rec.Files[path]
		have, err := os.ReadFile(k.at(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && string(have) == f.text && was.Kept == f.text {
			continue
		}
		changes[path] = why(kept && was.Kept == f.text)
		rec.Files[path] = file{f.text, f.gone}
		rec.Orders = append(rec.Orders, f.after...)
	}
	gone := without(rec.Files, want)
	for _, path := range gone {
		changes[path] = takenBack
		rec.Orders = append(rec.Orders, rec.Files[path].After...)
	}
	if len(changes) > 0 {
		if err := k.note(rec); err != nil {
			return err
		}
		for _, path := range slices.Sorted(maps.Keys(changes)) {
			if err := k.replace(path, want); err != nil {
				return err
			}
			k.log.Info(changes[path], "file", path)
		}
	}
	for _, path := range gone {
		delete(rec.Files, path)
	}
	return k.order(ctx, rec, len(changes) > 0)
}

// replace writes a file, or removes it where it is not wanted.
func (k *keeper) replace(path string, want map[string]wantedFile) error {
	f, wanted := want[path]
	dir := filepath.Dir(k.at(path))
	if wanted {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return durable.WriteFile(k.at(path), []byte(f.text), 0o644)
	}
	if err := os.Remove(k.at(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.HasSuffix(dir, ".service.d") {
		_ = os.Remove(dir) // it may have other files
	}
	return nil
}

// order gives systemd the orders that it has yet to get, each once, and notes that.
func (k *keeper) order(ctx context.Context, rec *record, changed bool) error {
	if len(rec.Orders) == 0 && !changed {
		return nil
	}
	seen := map[string]bool{}
	for _, order := range rec.Orders {
		words := strings.Fields(order)
		if seen[order] || len(words) > 1 && !k.hasUnit(words[len(words)-1]) { // not made yet, or gone
			continue
		}
		seen[order] = true
		if err := k.ask(ctx, words...); err != nil {
			return err
		}
	}
	rec.Orders = nil
	return k.note(rec)
}

func (k *keeper) hasUnit(unit string) bool {
	return slices.ContainsFunc([]string{system.UnitDir, "/usr/lib/systemd/system/", "/lib/systemd/system/"}, func(dir string) bool {
		return system.Exists(k.at(dir + unit))
	})
}
