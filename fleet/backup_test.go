package fleet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const offline = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"

// TestTheNearestBackupCounts, all of it; one that is empty is none.
func TestTheNearestBackupCounts(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(grouped(map[string]string{
		"fleet.yaml":              head + "Fleet\nmetadata: {name: shops}\nspec:\n  backup:\n    every: 6h\n    recipients: [" + offline + "]\n",
		emea:                      head + "Group\nspec:\n  variables: {STORE_ID: emea, NTP: 10.0.0.1}\n  backup:\n    at: 30 3 * * 1-5\n    timeZone: Europe/Berlin\n    keep: 30\n    recipients: [ssh-ed25519 AAAA me]\n    to:\n    - sftp: sftp://me@nas/srv\n      knownHostsFile: sites/emea/known\n    - folder: /mnt/nas\n    - s3: https://s3.example.com/shops/emea\n      region: eu\n      caFile: bases/ca.pem\n      credentials: bases/s3.sops.yaml\n",
		"sites/emea/s2/site.yaml": head + "Site\nspec:\n  backup: {}\n",
		"sites/emea/known":        "x", "bases/ca.pem": "x", "bases/s3.sops.yaml": "x",
	})))
	require.NoError(t, err)
	got := map[string]fleet.Backup{}
	for _, s := range f.Sites {
		got[s.Name] = s.Backup
	}
	require.Equal(t, fleet.Backup{
		At: "30 3 * * 1-5", TimeZone: "Europe/Berlin", Keep: 30, Recipients: []string{"ssh-ed25519 AAAA me"}, File: emea, Line: 6,
		To: []fleet.Target{
			{SFTP: "sftp://me@nas/srv", KnownHostsFile: "sites/emea/known", Line: 11},
			{Folder: "/mnt/nas", Line: 13},
			{S3: "https://s3.example.com/shops/emea", Region: "eu", CAFile: "bases/ca.pem", Credentials: "bases/s3.sops.yaml", Line: 14},
		},
	}, got["s1"])
	require.False(t, got["s2"].On())
	require.Equal(t, fleet.Backup{Every: 6 * time.Hour, Keep: 7, Recipients: []string{offline}, File: "fleet.yaml", Line: 6}, got["s4"])
}

func TestBackupsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	const good = "every: 1h, recipients: [" + offline + "]"
	for _, tt := range []struct{ name, backup, want string }{
		{"no time", "recipients: [" + offline + "]", "backup has either every or at"},
		{"two times", good + `, at: "0 0 * * *"`, "backup has either every or at"},
		{"nobody who could open it", "every: 1h", "backup lacks recipients"},
		{"a recipient that is none", "every: 1h, recipients: [me]", `"me" is not a recipient of age`},
		{"a secret key", "every: 1h, recipients: [AGE-SECRET-KEY-1XX]", "is not a recipient of age"},
		{"a time that is none", `at: "61 * * * *", recipients: [` + offline + "]", "at is no time"},
		{"a time with words of a library", `at: "@daily", recipients: [` + offline + "]", "does not have five fields"},
		{"a time that never comes", `at: "0 0 31 2 *", recipients: [` + offline + "]", "never comes"},
		{"a time zone in the time", `at: "TZ=UTC 0 0 * *", recipients: [` + offline + "]", "does not have five fields"},
		{"a time zone that is none", `at: "0 0 * * *", timeZone: Mars, recipients: [` + offline + "]", `"Mars" is not a time zone`},
		{"a time zone for nothing", good + ", timeZone: UTC", "timeZone is for at"},
		{"more than may be kept", good + ", keep: 0", "keep must be a number from 1 to 1000"},
		{"a target that is nothing", good + ", to: [{}]", "a target has one of folder, sftp and s3"},
		{"a target that is two", good + ", to: [{folder: /a, s3: https://b/c}]", "a target has one of folder, sftp and s3"},
		{"a target twice", good + ", to: [{folder: /a}, {folder: /a}]", "target /a is given twice"},
		{"a folder from somewhere", good + ", to: [{folder: a}]", `folder "a" is not the path of a folder`},
		{"a folder with credentials", good + ", to: [{folder: /a, credentials: bases/k}]", "a folder has nothing but its path"},
		{"sftp that nothing vouches for", good + ", to: [{sftp: sftp://me@nas/b}]", "sftp needs a knownHostsFile"},
		{"sftp without a user", good + ", to: [{sftp: sftp://nas/b, knownHostsFile: bases/k}]", "sftp lacks the user"},
		{"a password in the URL", good + `, to: [{sftp: "sftp://me:hunter2@nas/b", knownHostsFile: bases/k}]`, "sftp holds a user or a password"},
		{"s3 without a bucket", good + ", to: [{s3: https://s3, credentials: bases/k}]", "s3 is not a URL that is read"},
		{"s3 without credentials", good + ", to: [{s3: https://s3/b}]", "s3 needs credentials"},
		{"s3 with a query", good + ", to: [{s3: 'https://s3/b?x=hunter2', credentials: bases/k}]", "s3 is not a URL that is read"},
		{"an authority for the clear", good + ", to: [{s3: http://s3/b, credentials: bases/k, caFile: bases/k}]", "caFile needs https://"},
		{"a file that is missing", good + ", to: [{s3: https://s3/b, credentials: bases/none}]", "there is no file bases/none"},
		{"a file of another site", good + ", to: [{s3: https://s3/b, credentials: sites/emea/s2/k}]", "sites/emea/s2/k is out of reach"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.Load(edited(grouped(map[string]string{
				s1:        head + "Site\nspec:\n  variables: {STORE_ID: own}\n  backup: {" + tt.backup + "}\n",
				"bases/k": "x", "sites/emea/s2/k": "x",
			})))
			require.ErrorContains(t, err, s1+":")
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.Positive(t, fleet.Problems(err)[0].Line)
		})
	}
}

// TestWhenTheNextBackupIsDue, also where clocks jump and hosts sleep.
func TestWhenTheNextBackupIsDue(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		got, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return got
	}
	every := fleet.Backup{Every: 6 * time.Hour}
	nightly := fleet.Backup{At: "30 3 * * *", TimeZone: "Europe/Berlin"}
	for _, tt := range []struct {
		name      string
		b         fleet.Backup
		last, now string // last is empty: there was none
		want      string
	}{
		{"the first", every, "", "2026-11-26T12:00:00Z", "2026-11-26T12:00:00Z"},
		{"after a time", every, "2026-11-26T12:00:00Z", "2026-11-26T13:00:00Z", "2026-11-26T18:00:00Z"},
		{"missed, as the host was off", every, "2026-11-20T12:00:00Z", "2026-11-26T13:00:00Z", "2026-11-20T18:00:00Z"},
		{"a clock that was set back", every, "2040-01-01T00:00:00Z", "2026-11-26T13:00:00Z", "2026-11-26T13:00:00Z"},
		{"at night, by the clocks of the site", nightly, "2026-11-26T12:00:00Z", "2026-11-26T13:00:00Z", "2026-11-27T02:30:00Z"},
		{"in summer", nightly, "2026-07-26T12:00:00Z", "2026-07-26T13:00:00Z", "2026-07-27T01:30:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var last time.Time
			if tt.last != "" {
				last = at(tt.last)
			}
			require.Equal(t, at(tt.want), tt.b.Next(last, at(tt.now)).UTC())
		})
	}
}
