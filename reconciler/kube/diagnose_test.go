package kube

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatTellsMostOfALog(t *testing.T) {
	t.Parallel()
	lines := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "goroutine frame number %d of many\n", i)
		}
		return b.String()
	}
	require.Equal(t, "flag provided but not defined: -txt\nUsage of /web:", wordsOf("flag provided but not defined: -txt\nUsage of /web:\n"), "a short one whole")
	words := wordsOf("starting\npanic: no such table\n" + lines(28))
	require.True(t, strings.HasPrefix(words, "panic: no such table\n… "), words)
	require.True(t, strings.HasSuffix(words, "number 27 of many"), words)
	require.Less(t, len(words), 600)
	words = wordsOf(lines(30))
	require.True(t, strings.HasPrefix(words, "… "), words)
	long := wordsOf("error: " + strings.Repeat("é", 5000) + "\n" + lines(20))
	require.Less(t, len(long), 600)
	require.True(t, strings.HasPrefix(long, "error: é"), long)
}
