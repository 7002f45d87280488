package settings

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// timeFile is what tells the host's own time service which servers it asks, and
// where. The service starts if it did not run before, and is then stopped again once it is not wanted.
func (k *keeper) timeFile(ctx context.Context, rec *record, servers []string) (string, wantedFile, error) {
	var path, unit, text string
	for _, chrony := range []struct{ unit, config string }{
		{"chrony.service", "/etc/chrony/chrony.conf"}, {"chronyd.service", "/etc/chrony.conf"},
	} {
		if !k.hasUnit(chrony.unit) {
			continue
		}
		dir := k.sourceDir(chrony.config)
		if dir == "" {
			return "", wantedFile{}, system.Refuse("chrony of this host reads time servers from "+chrony.config+" alone", "add to it the line: sourcedir /etc/chrony/sources.d")
		}
		path, unit, text = filepath.Join(dir, "holdfast.sources"), chrony.unit, head+"server "+strings.Join(servers, " iburst\nserver ")+" iburst\n"
	}
	if path == "" && k.hasUnit("systemd-timesyncd.service") {
		path, unit, text = "/etc/systemd/timesyncd.conf.d/60-holdfast.conf", "systemd-timesyncd.service", head+"[Time]\nNTP="+strings.Join(servers, " ")+"\n"
	}
	if path == "" {
		return "", wantedFile{}, system.Refuse("the distribution names time servers, but this host has neither chrony nor systemd-timesyncd", "install one of the two, or take host.ntp out of the distribution")
	}
	f := wantedFile{text: text, after: []string{"enable " + unit, "restart " + unit}}
	if was, kept := rec.Files[path]; kept {
		f.gone = was.After
	} else if k.ask(ctx, "is-enabled", "--quiet", unit) == nil {
		f.gone = []string{"restart " + unit}
	} else {
		f.gone = []string{"disable --now " + unit}
	}
	return path, f, nil
}

// sourceDir is a folder that chrony's configuration says it reads sources from, see chrony.conf(5).
func (k *keeper) sourceDir(config string) string {
	data, err := os.ReadFile(k.at(config))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "sourcedir" && strings.HasPrefix(words[1], "/etc/") {
			return words[1]
		}
	}
	return ""
}
