package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

const head = "apiVersion: holdfast.dev/v1alpha1\nkind: AgentConfig\nspec:\n"

func TestAgentConfigIsStrict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"the least", head, ""},
		{"nothing", "", "EOF"},
		{"another kind", "apiVersion: holdfast.dev/v1alpha1\nkind: Fleet\n", "not apiVersion"},
		{"an unknown field", head + "  sauces: []\n", "line 4: field sauces not found"},
		{"a secret in place of its file", head + "  sources: [{git: 'https://x', password: y}]\n", "field password not found"},
		{"a source of two kinds", head + "  sources: [{git: 'https://x', mirror: 'https://y'}]\n", "spec.sources[0] needs git or mirror"},
		{"a source of no kind", head + "  sources: [{}]\n", "spec.sources[0] needs git or mirror"},
		{"an interval without a unit", head + "  interval: 5\n", `"5" is no duration`},
		{"an interval of nothing", head + "  interval: 0s\n", `"0s" is no duration`},
		{"two documents", head + "---\n{}\n", "more than one document"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseAgentConfig([]byte(tt.text))
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

func TestFlagsComeBeforeTheConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	require.NoError(t, os.WriteFile(file, []byte(head+`  anchor: /a
  recovery: /safe
  branch: trunk
  interval: 5m
  sources:
  - {git: https://one, username: u, passwordFile: /p, deadline: 1h}
  - {mirror: https://two}
  bundles: [/stick]
`), 0o600))
	configured := func(args ...string) agentOptions {
		opts := agentOptions{config: file}
		cmd := &cobra.Command{}
		cmd.Flags().StringVar(&opts.anchor, "anchor", "", "")
		cmd.Flags().StringVar(&opts.branch, "branch", "main", "")
		cmd.Flags().DurationVar(&opts.interval, "interval", time.Minute, "")
		cmd.Flags().StringArrayVar(&opts.mirrors, "mirror", nil, "")
		require.NoError(t, cmd.ParseFlags(args))
		require.NoError(t, opts.configure(cmd))
		return opts
	}
	o := configured()
	require.Equal(t, "/a", o.anchor)
	require.Equal(t, "/safe", o.recovery)
	require.Equal(t, "trunk", o.branch)
	require.Equal(t, 5*time.Minute, o.interval)
	require.Equal(t, []string{"/stick"}, o.bundles)
	require.Equal(t, []gitsource.Source{
		{URL: "https://one", Username: "u", PasswordFile: "/p", Deadline: time.Hour}, {URL: "https://two", Mirror: true},
	}, o.sources)
	o = configured("--anchor", "/b", "--branch", "main", "--interval", "1m", "--mirror", "https://zero")
	require.Equal(t, "/b", o.anchor)
	require.Equal(t, "main", o.branch)
	require.Equal(t, time.Minute, o.interval)
	require.Equal(t, "https://zero", o.sources[0].URL)
	require.Len(t, o.sources, 3)
}

func FuzzAgentConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseAgentConfig(data)
		if err != nil {
			return
		}
		for _, s := range c.Spec.Sources {
			if s.source().URL == "" || s.source().Deadline < 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func TestFuzzSeedsOfTheConfigurationExist(t *testing.T) {
	t.Parallel()
	seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", "FuzzAgentConfig"))
	require.NoError(t, err)
	require.NotEmpty(t, seeds)
}
