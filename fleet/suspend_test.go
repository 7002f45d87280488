package fleet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestASuspensionHoldsWhereverItIsDeclared(t *testing.T) {
	t.Parallel()
	until := time.Date(2027, 1, 7, 5, 0, 0, 0, time.UTC)
	f, err := fleet.Load(edited(grouped(map[string]string{
		"fleet.yaml": head + "Fleet\nmetadata: {name: shops}\nspec:\n  suspend: {reason: peak week, until: 2027-01-07T06:00:00+01:00}\n",
		emea:         head + "Group\nspec:\n  variables: {STORE_ID: emea, NTP: 10.0.0.1}\n  suspend:\n    reason: audit\n    until: \"2027-01-07T05:00:00Z\"\n    layers: [web]\n",
		s1:           head + "Site\nspec:\n  suspend: {reason: rewiring, until: 2027-01-07T05:00:00Z}\n",
	})))
	require.NoError(t, err)
	all := fleet.Suspension{Reason: "peak week", Until: until, At: fleet.Position{File: "fleet.yaml", Line: 5}}
	group := fleet.Suspension{Layers: []string{"web"}, Reason: "audit", Until: until, At: fleet.Position{File: emea, Line: 6}}
	own := fleet.Suspension{Reason: "rewiring", Until: until, At: fleet.Position{File: s1, Line: 4}}
	require.Equal(t, []fleet.Suspension{all, group, own}, f.Sites[0].Suspended)
	require.Equal(t, []fleet.Suspension{all, group}, f.Sites[1].Suspended)
	require.Equal(t, []fleet.Suspension{all}, f.Sites[3].Suspended)
	require.True(t, all.Of(""))
	require.False(t, group.Of(""))
	require.True(t, group.Of("web"))
}

func TestAProfileSuspendsItsLayer(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(grouped(map[string]string{
		"profiles/shop/profile.yaml": head + "Profile\nspec:\n  layers:\n    - name: web\n      suspend: {reason: broken upstream, until: 2027-01-07T05:00:00Z}\n    - name: platform\n  variables: [{name: STORE_ID, type: string, required: true}, {name: NTP, type: address, default: 10.0.0.9}, {name: REPLICAS, type: integer, default: 1}]\n",
	})))
	require.NoError(t, err)
	require.Len(t, f.Sites[0].Suspended, 1)
	require.Equal(t, []string{"web"}, f.Sites[0].Suspended[0].Layers)
	require.Equal(t, "profiles/shop/profile.yaml", f.Sites[0].Suspended[0].At.File)
}

func TestWhatIsNoSuspension(t *testing.T) {
	t.Parallel()
	for suspend, want := range map[string]string{
		"{until: 2027-01-07T05:00:00Z}":                               "suspend lacks the field reason",
		"{reason: why}":                                               "suspend lacks the field until",
		"{reason: why, until: 2027-01-07}":                            "until is not a time with a date and an offset",
		"{reason: why, until: tomorrow}":                              "until is not a time with a date and an offset",
		"{reason: why, until: 7}":                                     "until is not a time with a date and an offset",
		"{reason: why, until: [2027-01-07T05:00:00Z]}":                "until is not a time with a date and an offset",
		"{reason: \"a\\nb\", until: 2027-01-07T05:00:00Z}":            "the reason is too long",
		"{reason: why, until: 2027-01-07T05:00:00Z, layers: [bogus]}": "layer bogus cannot be suspended: profile shop has no such layer",
	} {
		_, err := fleet.Load(edited(grouped(map[string]string{s1: head + "Site\nspec:\n  suspend: " + suspend + "\n"})))
		require.ErrorContains(t, err, want, suspend)
		require.Len(t, messages(err), 1, suspend)
	}
	_, err := fleet.Load(edited(grouped(map[string]string{
		emea: head + "Group\nspec:\n  variables: {STORE_ID: emea, NTP: 10.0.0.1}\n  suspend: {reason: why, until: 2027-01-07T05:00:00Z, layers: [web, bogus]}\n",
	})))
	require.ErrorContains(t, err, emea+":5: layer bogus cannot be suspended: no site below has such a layer")
}

func TestMaintenanceIsTheNearest(t *testing.T) {
	t.Parallel()
	night := "  maintenance: {timeZone: Europe/Berlin, windows: [{start: \"22:00\", end: \"04:30\"}]}\n"
	f, err := fleet.Load(edited(grouped(map[string]string{
		"fleet.yaml": head + "Fleet\nmetadata: {name: shops}\nspec:\n" + night,
		emea:         head + "Group\nspec:\n  variables: {STORE_ID: emea, NTP: 10.0.0.1}\n  maintenance: {windows: [{days: [saturday, sunday], start: \"08:00\", end: \"12:00\"}]}\n",
		s1:           head + "Site\nspec:\n  maintenance: {windows: []}\n",
	})))
	require.NoError(t, err)
	require.Equal(t, fleet.Maintenance{}, f.Sites[0].Maintenance, "always")
	require.Equal(t, fleet.Maintenance{Windows: []fleet.Window{{Days: []time.Weekday{6, 0}, Start: 480, End: 720}}}, f.Sites[1].Maintenance)
	require.Equal(t, fleet.Maintenance{TimeZone: "Europe/Berlin", Windows: []fleet.Window{{Start: 1320, End: 270}}}, f.Sites[3].Maintenance)

	for text, want := range map[string]string{
		"{}":                                                            "maintenance lacks the field windows",
		"{timeZone: Mars, windows: []}":                                 `"Mars" is not a time zone`,
		"{timeZone: Local, windows: []}":                                `"Local" is not a time zone`,
		"{timeZone: ../etc, windows: []}":                               `"../etc" is not a time zone`,
		"{windows: [{start: \"22:00\"}]}":                               "a window lacks the field end",
		"{windows: [{start: \"22:00\", end: \"24:00\"}]}":               "end is not a time of day",
		"{windows: [{start: \"9:00\", end: \"10:00\"}]}":                "start is not a time of day",
		"{windows: [{days: [Sat], start: \"09:00\", end: \"10:00\"}]}":  `"Sat" is not a day`,
		"{windows: [{start: \"09:00\", end: \"10:00\", every: month}]}": "unknown field every",
	} {
		_, err := fleet.Load(edited(grouped(map[string]string{s1: head + "Site\nspec:\n  maintenance: " + text + "\n"})))
		require.ErrorContains(t, err, want, text)
	}
}

func TestAWindowGoesByTheClocksOfItsTimeZone(t *testing.T) {
	t.Parallel()
	weekend := []time.Weekday{time.Saturday, time.Sunday}
	night := fleet.Maintenance{TimeZone: "Europe/Berlin", Windows: []fleet.Window{{Start: 22 * 60, End: 4 * 60}}}
	hour := fleet.Maintenance{TimeZone: "Europe/Berlin", Windows: []fleet.Window{{Days: []time.Weekday{time.Sunday}, Start: 2 * 60, End: 3 * 60}}}
	for _, tt := range []struct {
		name       string
		m          fleet.Maintenance
		now, until string // until: empty if always
		open       bool
	}{
		{"no windows: always", fleet.Maintenance{}, "2026-11-26T12:00:00Z", "", true},
		{"before a night's window", night, "2026-11-26T20:59:59Z", "2026-11-26T21:00:00Z", false},
		{"in it", night, "2026-11-26T21:00:00Z", "2026-11-27T03:00:00Z", true},
		{"after midnight", night, "2026-11-27T02:59:59Z", "2026-11-27T03:00:00Z", true},
		{"when it is over", night, "2026-11-27T03:00:00Z", "2026-11-27T21:00:00Z", false},
		{"in summer, an hour earlier by UTC", night, "2026-07-01T20:00:00Z", "2026-07-02T02:00:00Z", true},
		{"the night that summer begins is an hour shorter", night, "2026-03-28T21:00:00Z", "2026-03-29T02:00:00Z", true},
		{"the night that it ends is an hour longer", night, "2026-10-24T20:00:00Z", "2026-10-25T03:00:00Z", true},
		{"an hour that a night leaves out comes a week later", hour, "2026-03-28T12:00:00Z", "2026-04-05T00:00:00Z", false},
		{"a day is the one on which it starts", fleet.Maintenance{Windows: []fleet.Window{{Days: weekend, Start: 22 * 60, End: 4 * 60}}}, "2026-11-30T03:00:00Z", "2026-11-30T04:00:00Z", true},
		{"on other days it waits for the next", fleet.Maintenance{Windows: []fleet.Window{{Days: weekend, Start: 22 * 60, End: 4 * 60}}}, "2026-11-30T22:00:00Z", "2026-12-05T22:00:00Z", false},
		{"windows that touch are one", fleet.Maintenance{Windows: []fleet.Window{{Start: 60, End: 120}, {Start: 120, End: 180}, {Start: 90, End: 100}}}, "2026-11-26T01:00:00Z", "2026-11-26T03:00:00Z", true},
		{"a whole day", fleet.Maintenance{Windows: []fleet.Window{{Days: []time.Weekday{time.Thursday}}}}, "2026-11-26T13:00:00Z", "2026-11-27T00:00:00Z", true},
		{"a zone of half an hour", fleet.Maintenance{TimeZone: "Asia/Kolkata", Windows: []fleet.Window{{Start: 0, End: 60}}}, "2026-11-26T12:00:00Z", "2026-11-26T18:30:00Z", false},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		require.NoError(t, err)
		open, until := tt.m.At(now)
		require.Equal(t, tt.open, open, tt.name)
		if tt.until == "" {
			require.Zero(t, until, tt.name)
			continue
		}
		require.Equal(t, tt.until, until.UTC().Format(time.RFC3339), tt.name)
	}
}
