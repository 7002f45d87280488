package content

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConformance runs the tests of the module that has the libraries of
// other tools, which the program's own module leaves out.
func TestConformance(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "test", ".")
	cmd.Dir = "conformance"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
