package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/sprig/v3"
	"github.com/stretchr/testify/require"
)

// pure are the functions of helm's templates that are called as they are: they
// carry texts on, or make something of them that is the same everywhere.
const pure = "adler32sum all any append cat chunk coalesce compact concat deepCopy deepEqual default dict dig empty fail first fromJson " +
	"fromJsonArray fromToml fromYaml fromYamlArray hello include indent initial join kindIs kindOf last list mergeOverwrite merge " +
	"mustAppend mustChunk mustCompact mustDeepCopy mustFirst mustFromJson mustInitial mustLast mustMerge mustMergeOverwrite mustPrepend " +
	"mustPush mustRest mustReverse mustSlice mustToJson mustToPrettyJson mustToRawJson mustToToml mustToYaml mustUniq mustWithout nindent omit pick pluck " +
	"prepend push quote required rest reverse set sha1sum sha256sum sha512sum slice sortAlpha squote ternary toJson toPrettyJson toRawJson toString " +
	"toStrings toToml toYaml toYamlPretty tpl trim trimAll trimPrefix trimSuffix trimall tuple typeIs typeIsLike typeOf uniq unset without keys values " +
	"mustToDuration durationSeconds durationMilliseconds durationMicroseconds durationNanoseconds durationMinutes durationHours durationDays " +
	"durationWeeks durationRoundTo durationTruncateTo"

// A new version of helm may bring a function that goes by chance or the clock.
func TestEveryFunctionOfTemplatesIsKnown(t *testing.T) {
	t.Parallel()
	known := strings.Fields(strings.Join([]string{random, derivable, clock, machine, opaque, comparing, pure, "lookup"}, " "))
	var all []string
	for name := range sprig.TxtFuncMap() {
		all = append(all, name)
	}
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "helm.sh/helm/v4").Output()
	require.NoError(t, err)
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "engine", "funcs.go"))
	require.NoError(t, err)
	own := regexp.MustCompile(`(?m)^\t\t"(\w+)": `).FindAllStringSubmatch(string(source), -1)
	require.NotEmpty(t, own)
	for _, m := range own {
		all = append(all, m[1])
	}
	var unknown []string
	for _, name := range all {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	require.Empty(t, unknown)
	var gone []string
	for _, name := range known {
		if !slices.Contains(all, name) && !slices.Contains(strings.Fields(comparing), name) {
			gone = append(gone, name)
		}
	}
	require.Empty(t, gone)
}
