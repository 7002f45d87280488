package reconciler

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

// sourcesOf reads "url" or "url note", with commas between.
func sourcesOf(text string) (list []gitsource.Source) {
	for one := range strings.SplitSeq(text, ",") {
		if url, note, _ := strings.Cut(strings.TrimSpace(one), " "); url != "" {
			list = append(list, gitsource.Source{URL: url, Note: note})
		}
	}
	return list
}

func TestSourcesInUse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, staged, proven, newest, answer, inUse string
		isProven                                    bool
	}{
		{"nothing is declared", "a, b", "", "", "", "a, b", true},
		{"a declared one stands beside the staged one", "a, b", "", "a 1", "", "a, b, a 1", false},
		{"one of the old ones says nothing of the new", "a", "", "a 1", "a", "a, a 1", false},
		{"a declared one replaces it once proven", "a, b", "a 1", "a 1", "a 1", "b, a 1", true},
		{"old and new credentials", "a", "a 1", "a 2", "a 1", "a 1, a 2", false},
		{"the new one answers", "a", "a 1", "a 2", "a 1, a 2", "a 1, a 2", true},
		{"one of two new ones answers", "", "a 1", "a 2, b 1", "a 2", "a 1, a 2, b 1", false},
		{"what is proven needs no proof", "", "a 1, b 1", "a 1, b 2", "b 2", "a 1, b 1, b 2", true},
		{"nothing that stays answers", "", "a 1, b 1", "b 1", "a 1", "a 1, b 1", false},
		{"something that stays does", "", "a 1, b 1", "b 1", "b 1", "a 1, b 1", true},
		{"none is declared any more", "a", "a 1", "", "", "a 1", true},
		{"what it moved to", "a", "b 1", "c 1", "c 1", "a, b 1, c 1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proven, newest, answer := sourcesOf(tt.proven), sourcesOf(tt.newest), sourcesOf(tt.answer)
			require.Equal(t, sourcesOf(tt.inUse), inUse(sourcesOf(tt.staged), proven, newest))
			require.Equal(t, tt.isProven, isProven(proven, newest, func(s gitsource.Source) bool { return listed(answer, s) }))
		})
	}
}
