package fleet_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestHostByIdentity(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@s1 box", "-f", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	line, err := os.ReadFile(file + ".pub")
	require.NoError(t, err)
	f, err := fleet.Load(edited(map[string]string{"sites/emea/s1/hosts/s1-a.yaml": head + "Host\nspec:\n  identity: " + string(line)}))
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		key, host string
		want      error
	}{
		"with its comment":     {string(line), "s1-a", nil},
		"with another comment": {strings.Join(strings.Fields(string(line))[:2], " ") + " other", "s1-a", nil},
		"without a comment":    {strings.Join(strings.Fields(string(line))[:2], "\t"), "s1-a", nil},
		"a key of nobody":      {keyB, "", fleet.ErrNoHost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := f.HostByIdentity(strings.TrimSpace(tt.key))
			require.ErrorIs(t, err, tt.want)
			if tt.want == nil {
				require.Equal(t, tt.host, h.Name)
			}
		})
	}
	_, err = f.HostByIdentity("nonsense")
	require.Error(t, err)
	require.False(t, errors.Is(err, fleet.ErrNoHost))
}

func TestLoadExample(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(os.DirFS("../fleet-example"))
	require.NoError(t, err)
	require.Len(t, f.Sites, 3)
	require.Empty(t, f.Sites[1].Hosts, "the demo registers the host of store-042")
}
