package containerd

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Registries are where images come from that were not imported. Of each other
// registry every pull fails at once: images come by digest, before the pods that need them.
type Registries struct {
	Mirrors map[string][]string // registry, or "*" for every other → URLs in the order that they are asked
	Logins  map[string]Login    // host of a mirror →
}

// Login is how a mirror knows the host.
type Login struct{ Username, Password string }

// Nowhere is the mirror that nothing comes from.
const Nowhere = "http://127.0.0.1:1"

// All are the mirrors of each registry, and of every other.
func (r Registries) All() map[string][]string {
	all := map[string][]string{"*": {Nowhere}}
	maps.Copy(all, r.Mirrors)
	return all
}

const written = "# Written by Holdfast.\n"

// Hosts are the files of a folder of registry hosts, path → content, see
// docs/hosts.md of containerd. The registry itself is not asked, unless it is a mirror.
func (r Registries) Hosts(dir string) map[string]string {
	files := map[string]string{}
	for registry, mirrors := range r.All() {
		last := len(mirrors) - 1
		text := written + "server = " + strconv.Quote(mirrors[last]) + "\n" + abilities(mirrors[last])
		for _, mirror := range mirrors[:last] {
			text += "\n[host." + strconv.Quote(mirror) + "]\n" + abilities(mirror)
		}
		if registry == "*" {
			registry = "_default"
		}
		files[filepath.Join(dir, registry, "hosts.toml")] = text
	}
	return files
}

// abilities are the lines of one host. A path of its URL is where its API begins.
func abilities(mirror string) string {
	text := "capabilities = [\"pull\", \"resolve\"]\n"
	if u, err := url.Parse(mirror); err == nil && u.Path != "" {
		text += "override_path = true\n"
	}
	return text
}

// Config is the part of containerd's configuration that tells of the folder of registry hosts, and of logins.
func (r Registries) Config(dir string) string {
	const plugin = `[plugins."io.containerd.cri.v1.images".registry`
	text := plugin + "]\nconfig_path = " + strconv.Quote(dir) + "\n"
	for _, host := range slices.Sorted(maps.Keys(r.Logins)) {
		text += fmt.Sprintf("\n%s.configs.%q.auth]\nusername = %q\npassword = %q\n", plugin, host, r.Logins[host].Username, r.Logins[host].Password)
	}
	return text
}

// Forget removes the files of registries from a folder of registry hosts that were
// written there once and are not wanted any more. What others wrote stays.
func (r Registries) Forget(dir string) error {
	for _, path := range r.stale(dir) {
		if err := os.Remove(path); err != nil {
			return err
		}
		_ = os.Remove(filepath.Dir(path)) // it may have certificates
	}
	return nil
}

// Stale tells whether there is something to forget.
func (r Registries) Stale(dir string) bool { return len(r.stale(dir)) > 0 }

func (r Registries) stale(dir string) (files []string) {
	wanted := r.Hosts(dir)
	found, _ := filepath.Glob(filepath.Join(dir, "*", "hosts.toml")) // the pattern is well-formed
	for _, path := range found {
		if _, ok := wanted[path]; ok {
			continue
		}
		if data, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(data), written) {
			files = append(files, path)
		}
	}
	return files
}
