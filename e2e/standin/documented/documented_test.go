package documented

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsDocumentedAndWhatIsNot(t *testing.T) {
	t.Parallel()
	table, err := Load("k3s")
	require.NoError(t, err)
	require.NoError(t, table.Check("key", "cluster-cidr", "10.42.0.0/16"))
	require.ErrorContains(t, table.Check("key", "cluster-cdir", "10.42.0.0/16"), "k3s: no documentation has the key cluster-cdir")
	require.ErrorContains(t, table.Check("key", "cluster-cidr", "10.42.0.0"), `key cluster-cidr: "10.42.0.0"`)
	require.ErrorContains(t, table.Check("key", "disable", "trafik"), `"trafik" is not one of`)
	require.ErrorContains(t, table.Check("key", "token-file", "/nowhere"), "no such file")
	require.NoError(t, table.Check("path", "/var/lib/rancher/k3s/agent/images/a.tar", ""))
	require.Error(t, table.Check("path", "/var/lib/rancher/k3s/agent/images/a.zip", ""))
	require.ErrorContains(t, table.Unit("[Service]\nKillMode=mixed\nRestart=always\nNice=3\n"), "no documentation has the unit Service.Nice")
	_, err = Load("k9s")
	require.ErrorContains(t, err, "nothing is documented of k9s")
}

func TestCommandLines(t *testing.T) {
	t.Parallel()
	table, err := Load("k3s")
	require.NoError(t, err)
	for _, tt := range []struct {
		name  string
		words []string
		want  Command
		err   string
	}{
		{"a flag with its value", []string{"etcd-snapshot", "save", "--name", "a"}, Command{Name: "etcd-snapshot save", Flags: map[string]string{"--name": "a"}}, ""},
		{"a flag with =", []string{"etcd-snapshot", "save", "--name=a"}, Command{Name: "etcd-snapshot save", Flags: map[string]string{"--name": "a"}}, ""},
		{"a flag without a value", []string{"ctr", "images", "list", "-q"}, Command{Name: "ctr images list", Flags: map[string]string{"-q": ""}}, ""},
		{"another program's words", []string{"kubectl", "get", "--anything"}, Command{Name: "kubectl", Flags: map[string]string{}, Rest: []string{"get", "--anything"}}, ""},
		{"an unknown command", []string{"etcd-snapshot", "safe"}, Command{}, `no documentation has the command "etcd-snapshot safe"`},
		{"an unknown flag", []string{"server", "--token=x"}, Command{}, "no documentation has the flag server --token"},
		{"an argument", []string{"server", "now"}, Command{}, "no documentation has the argument server"},
		{"nothing", nil, Command{}, "no documentation has the command"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := table.Command(tt.words)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestTablesThatCiteNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"| key | a | b |\n", "| key | a | b | somewhere |\n", "| key | | b | https://example.com |\n"} {
		_, err := parse("x", text)
		require.Error(t, err, text)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	table, err := parse("x", "| key | a.<NAME>.c | <any> | https://example.com |\n| key | l | 1, 2 | https://example.com |\n")
	require.NoError(t, err)
	s, err := table.YAML("key", []byte("a: {b: {c: text}}\nl: [1, 2]\n"))
	require.NoError(t, err)
	require.Equal(t, Settings{"a.b.c": {"text"}, "l": {"1", "2"}}, s)
	_, err = table.YAML("key", []byte("l: [3]\n"))
	require.ErrorContains(t, err, `"3" is not one of "1, 2"`)
	_, err = table.YAML("key", []byte("a: ["))
	require.Error(t, err)
}
