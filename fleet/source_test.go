package fleet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestTheNearestListOfSourcesCounts(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(grouped(map[string]string{
		"fleet.yaml":              head + "Fleet\nmetadata: {name: shops}\nspec:\n  sources:\n  - git: https://git.example.com/fleet.git\n    credentials: bases/git.sops.yaml\n    caFile: bases/ca.pem\n    answerWithin: 5s\n",
		emea:                      head + "Group\nspec:\n  variables: {STORE_ID: emea, NTP: 10.0.0.1}\n  sources:\n  - mirror: https://cdn.example.com/fleet\n  - git: ssh://git@git.example.com/fleet.git\n    knownHostsFile: sites/emea/known_hosts\n",
		s1:                        head + "Site\nspec:\n  variables: {STORE_ID: own}\n  sources: []\n",
		"sites/emea/s2/site.yaml": head + "Site\nspec: {sources: [{git: \"https://own.example.com/f\", credentials: sites/emea/s2/deep/er/x.sops.yaml}]}\n",
		"bases/git.sops.yaml":     "x", "bases/ca.pem": "x", "sites/emea/known_hosts": "x", "sites/emea/s2/deep/er/x.sops.yaml": "x",
	})))
	require.NoError(t, err)
	var urls [][]string
	for _, s := range f.Sites {
		var of []string
		for _, source := range s.Sources {
			of = append(of, source.URL())
		}
		urls = append(urls, of)
	}
	ofEmea := []string{"https://cdn.example.com/fleet", "ssh://git@git.example.com/fleet.git"}
	require.Equal(t, [][]string{nil, {"https://own.example.com/f"}, ofEmea, {"https://git.example.com/fleet.git"}}, urls)
	require.Equal(t, fleet.Source{
		Git: "https://git.example.com/fleet.git", Credentials: "bases/git.sops.yaml", CAFile: "bases/ca.pem",
		AnswerWithin: 5 * time.Second, File: "fleet.yaml", Line: f.Sites[3].Sources[0].Line,
	}, f.Sites[3].Sources[0])
	require.Equal(t, emea, f.Sites[2].Sources[1].File)
}

func TestSourcesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, want string }{
		{"nothing to ask", "{}", "a source has either git or mirror, a URL"},
		{"both kinds", "{git: https://x/y, mirror: https://x/z}", "a source has either git or mirror, a URL"},
		{"another protocol", "{git: git://x/y}", "git is not a URL that is read"},
		{"a mirror over ssh", "{mirror: ssh://git@x/y}", "mirror is not a URL that is read"},
		{"a password in the URL", "{git: \"https://me:hunter2@x/y\"}", "git holds a user or a password"},
		{"a password in the URL of a proxy", "{git: https://x/y, proxy: \"http://me:hunter2@p\"}", "proxy holds a user or a password"},
		{"a password over ssh", "{git: \"ssh://git:hunter2@x/y\", knownHostsFile: bases/k}", "git holds a user or a password"},
		{"ssh without a user", "{git: ssh://x/y, knownHostsFile: bases/k}", "git lacks the user"},
		{"a server that nothing vouches for", "{git: ssh://git@x/y}", "ssh:// needs a knownHostsFile"},
		{"a CA for ssh", "{git: ssh://git@x/y, knownHostsFile: bases/k, caFile: bases/k}", "caFile and proxy are not for ssh://"},
		{"known hosts for https", "{git: https://x/y, knownHostsFile: bases/k}", "knownHostsFile is for ssh://"},
		{"credentials in the clear", "{git: http://x/y, credentials: bases/k}", "credentials and caFile need https://"},
		{"a file on the host", "{git: https://x/y, caFile: /etc/ca.pem}", `caFile "/etc/ca.pem" is not a path in the fleet`},
		{"a file that is missing", "{git: https://x/y, caFile: bases/none}", "there is no file bases/none"},
		{"a folder", "{git: https://x/y, caFile: bases/folder}", "bases/folder is not a file"},
		{"a file of a host", "{git: https://x/y, caFile: sites/emea/s1/hosts/k}", "sites/emea/s1/hosts/k is out of reach"},
		{"a file of another site", "{git: https://x/y, caFile: sites/emea/s2/k}", "sites/emea/s2/k is out of reach"},
		{"a file of the trust folder", "{git: https://x/y, caFile: trust/k}", "trust/k is out of reach"},
		{"a field of the agent's own configuration", "{git: https://x/y, tokenFile: bases/k}", "unknown field tokenFile in a source"},
		{"the same twice", "{git: https://x/y}, {git: https://x/y, caFile: bases/k}", "source https://x/y is given twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.Load(edited(grouped(map[string]string{
				s1:        head + "Site\nspec:\n  variables: {STORE_ID: own}\n  sources: [" + tt.source + "]\n",
				"bases/k": "x", "bases/folder/f": "x", "trust/k": "x", "sites/emea/s1/hosts/README.md": "x", "sites/emea/s2/k": "x",
			})))
			require.ErrorContains(t, err, s1+":")
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.Equal(t, s1, fleet.Problems(err)[0].File)
			require.Positive(t, fleet.Problems(err)[0].Line)
		})
	}
}

func TestAListOfAGroupReachesWhatItsSitesDo(t *testing.T) {
	t.Parallel()
	list := head + "Group\nspec: {variables: {NTP: 10.0.0.1, STORE_ID: x}, sources: [{git: https://x/y, caFile: "
	for file, good := range map[string]bool{
		"bases/a/k": true, "sites/k": true, "sites/emea/k": true, "sites/emea/s2/k": false, "sites/s4/k": false, "k": false, "profiles/shop/k": false,
	} {
		_, err := fleet.Load(edited(grouped(map[string]string{emea: list + file + "}]}\n", file: "x"})))
		if good {
			require.NoError(t, err, file)
		} else {
			require.ErrorContains(t, err, "group.yaml:3: "+file+" is out of reach")
		}
	}
}
