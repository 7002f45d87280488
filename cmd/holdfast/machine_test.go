package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// steering is what a name or a value of a repository might do to a terminal.
const steering = "a\u202eb\u2066c\u200f \x1b]0;t\x07\x1b[2J \u009b31m\x7f\b\r\t\n```|<script>::error ${x} 'q' \"q\" # c: d"

// FuzzMachineOutput holds that JSON and YAML say the same as they always did, and that
// nothing in them steers a terminal.
func FuzzMachineOutput(f *testing.F) {
	for _, text := range []string{steering, "", "\u202e", "y", "no", "1e3", "- x", "\u2028\u2029", "é\u0085ü", "key: \x7f", " lead", "tail \n", "\ufeff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 250 {
			return // YAML takes no longer keys, and nobody has them
		}
		data, err := json.Marshal(map[string]any{"key" + text: []string{text}, "n": 1})
		require.NoError(t, err)
		var want any
		require.NoError(t, json.Unmarshal(data, &want))
		for format, read := range map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": yaml.Unmarshal} {
			var out bytes.Buffer
			require.NoError(t, printAs(&out, format, want))
			for _, r := range out.String() {
				require.False(t, r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r), "%U in %s", r, format)
			}
			var got any
			require.NoError(t, read(out.Bytes(), &got), "%s: %q", format, out.String())
			same, err := json.Marshal(got)
			require.NoError(t, err)
			wanted, err := json.Marshal(want)
			require.NoError(t, err)
			require.JSONEq(t, string(wanted), string(same), format)
		}
	})
}
