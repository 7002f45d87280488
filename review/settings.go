package review

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// settings compares what is said of how a site is changed, not of what it runs.
func (p *pair) settings() {
	fields := compareObjects(settingsOf(p.old), settingsOf(p.new))
	if len(fields) == 0 {
		return
	}
	c := Change{Kind: Modify, Object: "site", Fields: fields}
	for _, f := range fields {
		if strings.HasPrefix(f.Path, "spec.suspend") && len(p.new.Suspended) > 0 {
			c.Note = "what is suspended is neither changed nor put right until that is over"
		}
	}
	p.changes = append(p.changes, c)
}

func sameSettings(a, b *fleet.Site) bool { return reflect.DeepEqual(settingsOf(a), settingsOf(b)) }

// settingsOf are a site's, and of its groups and the fleet, wherever they are written.
func settingsOf(s *fleet.Site) map[string]any {
	m := map[string]any{"prune": map[string]any{"share": s.Prune.Share, "allow": spoken(s.Prune.Allow)}}
	if len(s.Suspended) > 0 {
		var list []any
		for _, one := range s.Suspended {
			entry := map[string]any{"reason": one.Reason, "until": one.Until.Format(time.RFC3339)}
			if len(one.Layers) > 0 {
				entry["layers"] = one.Layers
			}
			list = append(list, entry)
		}
		m["suspend"] = list
	}
	if w := s.Maintenance.Windows; len(w) > 0 {
		m["maintenance"] = map[string]any{"timeZone": s.Maintenance.TimeZone, "windows": spoken(w)}
	}
	if s.Backup.On() {
		m["backup"] = backupOf(s.Backup)
	}
	if len(s.Sources) > 0 {
		var list []any
		for _, one := range s.Sources {
			list = append(list, sourceOf(one))
		}
		m["sources"] = list
	}
	return map[string]any{"spec": m}
}

func sourceOf(s fleet.Source) map[string]any {
	m := map[string]any{"git": s.Git, "mirror": s.Mirror, "credentials": s.Credentials, "caFile": s.CAFile, "knownHostsFile": s.KnownHostsFile, "proxy": s.Proxy}
	for name, d := range map[string]time.Duration{"answerWithin": s.AnswerWithin, "idleWithin": s.IdleWithin, "deadline": s.Deadline} {
		if m[name] = ""; d > 0 {
			m[name] = d.String()
		}
	}
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == "" })
	return m
}

func backupOf(b fleet.Backup) map[string]any {
	var to []any
	for _, t := range b.To {
		one := map[string]any{"folder": t.Folder, "sftp": t.SFTP, "s3": t.S3, "region": t.Region, "credentials": t.Credentials, "caFile": t.CAFile, "knownHostsFile": t.KnownHostsFile}
		maps.DeleteFunc(one, func(_ string, v any) bool { return v == "" })
		to = append(to, one)
	}
	m := map[string]any{"keep": b.Keep, "recipients": b.Recipients, "to": to}
	if b.Every > 0 {
		m["every"] = b.Every.String()
	} else {
		m["at"], m["timeZone"] = b.At, b.TimeZone
	}
	return m
}

func spoken[T fmt.Stringer](list []T) []any {
	var out []any
	for _, one := range list {
		out = append(out, one.String())
	}
	return out
}

// saidIn are the files that a site's settings may be written in.
func saidIn(s *fleet.Site) []string {
	files := []string{path.Join(s.Dir, "site.yaml"), "fleet.yaml", path.Join(s.Profile.Dir, "profile.yaml")}
	for _, dir := range s.Groups {
		files = append(files, path.Join(dir, "group.yaml"))
	}
	return files
}
