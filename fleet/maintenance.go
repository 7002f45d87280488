package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // hosts may lack the database, and judge as headquarters does

	"go.yaml.in/yaml/v3"
)

// Maintenance says when a site may be changed. The zero one is always.
type Maintenance struct {
	TimeZone string   `json:"timeZone,omitempty"` // of the IANA database; empty: UTC
	Windows  []Window `json:"windows,omitempty"`
}

// Window is a part of some days, by the clocks of a time zone.
type Window struct {
	Days  []time.Weekday `json:"days,omitempty"` // on which it starts; empty: every day
	Start int            `json:"start"`          // minutes after midnight
	End   int            `json:"end"`            // likewise; of the next day unless it is after Start
}

// At tells whether a moment lies in a window, and until when that stays so; until
// is zero if it always does.
func (m Maintenance) At(now time.Time) (open bool, until time.Time) {
	if len(m.Windows) == 0 {
		return true, time.Time{}
	}
	for _, s := range m.spans(now) {
		if now.Before(s.from) {
			return false, s.from
		}
		if now.Before(s.to) {
			return true, s.to
		}
	}
	return false, now.AddDate(0, 0, daysAhead)
}

// daysAhead is how far windows are looked for: two weeks, as the one of a week may
// be in the hour that a change to summer time leaves out.
const daysAhead = 15

type span struct{ from, to time.Time }

// spans are the windows about a moment, in their order; those that touch are one.
func (m Maintenance) spans(now time.Time) []span {
	zone, err := time.LoadLocation(m.TimeZone)
	if err != nil { // it was checked when it was read
		zone = time.UTC
	}
	year, month, day := now.In(zone).Date()
	var all []span
	for ahead := -1; ahead <= daysAhead; ahead++ {
		for _, w := range m.Windows {
			if s := w.on(time.Date(year, month, day+ahead, 0, 0, 0, 0, zone)); s.from.Before(s.to) {
				all = append(all, s)
			}
		}
	}
	slices.SortFunc(all, func(a, b span) int { return a.from.Compare(b.from) })
	var merged []span
	for _, s := range all {
		if last := len(merged) - 1; last >= 0 && !s.from.After(merged[last].to) {
			if s.to.After(merged[last].to) {
				merged[last].to = s.to
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// String is the window as people say it: saturday, sunday 22:00-04:00.
func (w Window) String() string {
	var days []string
	for _, d := range w.Days {
		days = append(days, weekdays()[d])
	}
	text := fmt.Sprintf("%02d:%02d-%02d:%02d", w.Start/60, w.Start%60, w.End/60, w.End%60)
	if len(days) == 0 {
		return text
	}
	return strings.Join(days, ", ") + " " + text
}

// on is the window that starts on a day; empty if none does.
func (w Window) on(midnight time.Time) span {
	if len(w.Days) > 0 && !slices.Contains(w.Days, midnight.Weekday()) {
		return span{}
	}
	at := func(days, minutes int) time.Time {
		y, m, d := midnight.Date()
		return time.Date(y, m, d+days, 0, minutes, 0, 0, midnight.Location())
	}
	if w.End > w.Start {
		return span{at(0, w.Start), at(0, w.End)}
	}
	return span{at(0, w.Start), at(1, w.End)}
}

// maintenanceRule is spec.maintenance of a file.
type maintenanceRule struct {
	Line int `json:"l"` // 0: the file has none
	Maintenance
}

func (r reader) maintenanceField(to *maintenanceRule) field {
	fields := map[string]field{
		"timeZone": {false, "That the windows go by, of the IANA database: Europe/Berlin; default UTC", textShape, func(n *yaml.Node) {
			to.TimeZone = r.timeZone(n)
		}},
		"windows": {true, "When what runs may be changed; an empty list is always", listOf(mapping(r.windowFields(&Window{}))), func(n *yaml.Node) {
			r.items(n, "windows", func(n *yaml.Node) {
				var w Window
				r.object(n, "a window", r.windowFields(&w))
				to.Windows = append(to.Windows, w)
			})
		}},
	}
	return field{false, "When a site is changed; a new one is fetched and checked at any time. The nearest counts, all of it", mapping(fields), func(n *yaml.Node) {
		to.Line = n.Line
		r.object(n, "maintenance", fields)
	}}
}

// timeZone reads the name of a time zone.
func (r reader) timeZone(n *yaml.Node) string {
	name := r.text(n, "timeZone")
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		r.problem(n, "write it like Europe/Berlin, America/Sao_Paulo or UTC", "%q is not a time zone", name)
	}
	return name
}

const clockPattern = `^([01][0-9]|2[0-3]):[0-5][0-9]$`

func (r reader) windowFields(w *Window) map[string]field {
	return map[string]field{
		"days": {false, "On which it starts; default every day", listOf(oneOf(weekdays()...)), func(n *yaml.Node) {
			r.items(n, "days", func(n *yaml.Node) {
				day := slices.Index(weekdays(), r.text(n, "a day"))
				if day < 0 {
					r.problem(n, "the days are "+strings.Join(weekdays(), ", "), "%q is not a day", deref(n).Value)
					return
				}
				w.Days = append(w.Days, time.Weekday(day))
			})
		}},
		"start": {true, "Time of day at which it starts: \"22:00\"", matching(clockPattern), func(n *yaml.Node) { w.Start = r.clock(n, "start") }},
		"end":   {true, "Time of day at which it ends; of the next day unless that is later than the start", matching(clockPattern), func(n *yaml.Node) { w.End = r.clock(n, "end") }},
	}
}

func weekdays() []string {
	return []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
}

// clock reads a time of day, in minutes after midnight.
func (r reader) clock(n *yaml.Node, what string) int {
	t, err := time.Parse("15:04", r.text(n, what))
	if err != nil || len(deref(n).Value) != len("15:04") {
		r.problem(n, `write it like "22:00"`, "%s is not a time of day", what)
		return 0
	}
	return t.Hour()*60 + t.Minute()
}

// nearestMaintenance is that of the site, or else of the nearest group, or else of the fleet.
func (l *loader) nearestMaintenance(from *siteRecord, groups []*group) Maintenance {
	if from.Maintenance.Line > 0 {
		return from.Maintenance.Maintenance
	}
	for _, g := range slices.Backward(groups) {
		if g.maintenance.Line > 0 {
			return g.maintenance.Maintenance
		}
	}
	return l.fleet.maintenance.Maintenance
}
