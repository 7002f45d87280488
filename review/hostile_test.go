package review_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/review"
)

// sayingAll are changes in which text stands wherever what a repository says can stand.
func sayingAll(text string) *review.Changes {
	value, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	fields := []review.Field{
		{Path: text, Old: value, New: json.RawMessage("1"), Immutable: true},
		{Path: text, Old: value, New: value, Hidden: true},
	}
	c := &review.Changes{Base: text, Head: text, Notes: []string{text}, Approvals: &review.Approval{State: text, Reason: text, Needs: []string{text}}}
	for _, kind := range []review.Kind{review.Modify, review.Distribution, review.SiteAdded, review.Delete} {
		c.Groups = append(c.Groups, review.Group{Change: review.Change{Kind: kind, Object: text, Layer: "l" + text, From: text, Danger: "d" + text, Note: "n" + text, Fields: fields},
			Sites: []string{text}, Hosts: []string{text}, Causes: []review.Cause{{File: text, Sites: 1}, {File: text, Variables: []string{text}, Sites: 1}}})
	}
	c.Warnings = c.Groups[:1]
	c.Server = &review.Served{Version: text, Renderings: 2, Tried: 1, Untried: []string{text}, Notes: []string{text}, Findings: []review.Finding{
		{Kind: review.Refused, Object: "apart" + text, Layer: text, File: "f" + text, Line: 1, Message: "m" + text, Hint: "h" + text, Fields: fields, Sites: []string{text}},
		{Kind: review.Warned, Object: text, Layer: "l" + text, File: "f" + text, Line: 1, Message: "m" + text, Hint: "h" + text, Fields: fields, Sites: []string{text}},
	}}
	return c
}

var (
	ownColours = regexp.MustCompile("\x1b\\[(31|32|33|1|0)m")
	fenced     = regexp.MustCompile("(?m)^```diff\n((?:[-+ ] .*\n)*)```\n")
	coded      = regexp.MustCompile("<code>[^<>`*_\\[\\]~|!\n\"]*</code>")
)

// frame is what is left of a comment without what a repository says.
func frame(comment string) string {
	comment = fenced.ReplaceAllStringFunc(comment, func(block string) string { return fmt.Sprintln("fence of", strings.Count(block, "\n")) })
	return coded.ReplaceAllString(comment, "text")
}

// checkHostile tells what text does to a terminal or a comment beyond being shown.
func checkHostile(t *testing.T, text string) {
	var plain, colour, comment, harmless, harmlessComment bytes.Buffer
	c := sayingAll(text)
	require.NoError(t, c.Text(&plain, false))
	require.NoError(t, c.Text(&colour, true))
	require.NoError(t, c.Markdown(&comment))
	require.NoError(t, sayingAll("x").Text(&harmless, false))
	require.NoError(t, sayingAll("x").Markdown(&harmlessComment))

	require.Equal(t, plain.String(), ownColours.ReplaceAllString(colour.String(), ""), "colours alone are added")
	require.Equal(t, strings.Count(harmless.String(), "\n"), strings.Count(plain.String(), "\n"), "no line is added or lost")
	for _, r := range plain.String() + comment.String() {
		require.False(t, r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029', "%U reaches a terminal", r)
	}
	require.Equal(t, frame(harmlessComment.String()), frame(comment.String()), "markup is ours alone")
}

// hostiles are what names and values of a repository might try.
var hostiles = []string{
	hostile,
	"\x1b]0;title\x07\x1b[2J\x1b[1A\x9b31m\u009b31m\x7f\b\r",
	"\nhosts say  accepted",
	"```\n@everyone [click](https://example.org) ![x](https://example.org/x.png)",
	"</code></summary></details><h1>approved</h1>",
	"&lt;b&gt; | a | b |\n|---|---|\n# heading\n- [x] done",
	"**bold** _under_ ~~gone~~ \\` `code` <!-- ",
	"\u202eevil\u2066\u2069\u200f\u2028\u2029",
	"\xff\xfe\xf0\x28",
}

func TestWhatARepositorySaysNeitherSteersATerminalNorMarksUpAComment(t *testing.T) {
	t.Parallel()
	for _, text := range hostiles {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			t.Parallel()
			checkHostile(t, text)
		})
	}
}

func TestACommentOfHostileTextHasRoom(t *testing.T) {
	t.Parallel()
	c := sayingAll(strings.Repeat("\x1b`", 3000))
	for range 200 {
		c.Notes = append(c.Notes, c.Notes[0])
		c.Approvals.Needs = append(c.Approvals.Needs, c.Notes[0])
		c.Server.Notes = append(c.Server.Notes, c.Notes[0])
		c.Server.Findings = append(c.Server.Findings, c.Server.Findings[0])
	}
	var out bytes.Buffer
	require.NoError(t, c.Markdown(&out))
	require.LessOrEqual(t, out.Len(), 60_000)
	require.Contains(t, out.String(), "- and 200 more")
}

func FuzzHostileText(f *testing.F) {
	for _, text := range hostiles {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 0 && len(text) < 40 { // longer texts take "image 1 → 2" out of titles
			checkHostile(t, text)
		}
	})
}
