package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == renderWorker { // for an agent in this process
		main()
		return
	}
	testscript.Main(m, map[string]func(){"holdfast": main})
}

// TestScripts runs what a user types: testdata/script, one story a file.
func TestScripts(t *testing.T) {
	t.Parallel()
	example, err := filepath.Abs("../../fleet-example")
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(env *testscript.Env) error {
		env.Setenv("FLEET", example)
		programs, err := embeddedtest.Programs()
		env.Setenv("EMBEDDED", programs)
		return err
	}, Cmds: map[string]func(*testscript.TestScript, bool, []string){"github": github, "gitlab": gitlab}})
}
