package review

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// aReport has one of each: a line and none, sites and none, and names with signs
// that mean something to who reads it.
func aReport() Report {
	return Report{Fleet: "shops", Errors: 1, Warnings: 1, Problems: []Problem{
		{Severity: Error, Rule: fleet.RuleSchema, File: "bases/a b/web.yaml", Line: 7, Message: "Deployment shop/web: 100% wrong", Hint: "did you mean\nright?", Sites: 2, Example: "one"},
		{Severity: Warning, Rule: fleet.RuleUnusedProfile, File: "profiles/a,b:c/profile.yaml", Message: "no site runs it", Hint: "delete it"},
	}}
}

func TestSARIFNamesRulesPlacesAndFingerprints(t *testing.T) {
	t.Parallel()
	r := aReport()
	var out bytes.Buffer
	require.NoError(t, r.SARIF(&out, "fleet", "v1.2.3"))
	var log struct {
		Version string
		Runs    []struct {
			Tool struct{ Driver sarifDriver }

			Results []sarifResult
		}
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &log))
	require.Equal(t, "2.1.0", log.Version)
	run := log.Runs[0]
	require.Len(t, run.Tool.Driver.Rules, len(fleet.Rules()))
	require.Equal(t, "v1.2.3", run.Tool.Driver.Version)
	for i, p := range r.Problems {
		got := run.Results[i]
		require.Equal(t, string(p.Rule), got.RuleID)
		require.Equal(t, string(p.Rule), run.Tool.Driver.Rules[got.RuleIndex].ID)
		require.Equal(t, string(p.Severity), got.Level)
		require.Contains(t, got.Message.Text, p.Hint)
	}
	require.Equal(t, "fleet/bases/a%20b/web.yaml", run.Results[0].Locations[0].Place.Artifact.URI)
	require.Equal(t, 7, run.Results[0].Locations[0].Place.Region.StartLine)
	require.Nil(t, run.Results[1].Locations[0].Place.Region, "the whole file is meant")

	moved := aReport()
	moved.Problems[0].Line, moved.Problems[0].Sites = 70, 3
	require.Equal(t, r.Problems[0].fingerprint(), moved.Problems[0].fingerprint(), "it is the same problem")
	require.NotEqual(t, r.Problems[0].fingerprint(), r.Problems[1].fingerprint())
}

func TestSARIFOfNoProblemsHasAnEmptyList(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, (&Report{}).SARIF(&out, "", "v1"))
	require.Contains(t, out.String(), `"results": []`)
}

func TestAnnotationsAreOneLineEach(t *testing.T) {
	t.Parallel()
	r := aReport()
	var out bytes.Buffer
	require.NoError(t, r.Annotations(&out, "fleet"))
	require.Equal(t, []string{
		"::error file=fleet/bases/a b/web.yaml,line=7,title=schema::Deployment shop/web: 100%25 wrong (2 sites, such as one)%0Ahint: did you mean%0Aright?",
		"::warning file=fleet/profiles/a%2Cb%3Ac/profile.yaml,title=unused-profile::no site runs it%0Ahint: delete it",
	}, strings.Split(strings.TrimSpace(out.String()), "\n"))
}
