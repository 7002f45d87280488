package main

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/render"
)

// cacheVariable names the folder of what earlier runs kept, or is "off".
const cacheVariable = "HOLDFAST_CACHE"

// How many bytes are kept.
const (
	fleetCache = 512 << 20
	hostCache  = 16 << 20
)

// fleetMemory is from where on a command for a fleet works harder to need no more.
const fleetMemory = 768 << 20

// hurry puts off the garbage of a command that ends soon, unless GOGC says when.
func hurry() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	debug.SetMemoryLimit(fleetMemory)
}

// openMemo opens what earlier runs of the same program kept; nil if it cannot.
func openMemo() *memo.Store {
	dir := os.Getenv(cacheVariable)
	if dir == "off" {
		return nil
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(user, "holdfast")
	}
	return openMemoIn(dir, fleetCache)
}

func openMemoIn(dir string, limit int64) *memo.Store {
	id, err := buildID()
	if err != nil {
		return nil
	}
	store, err := memo.Open(dir, id, limit)
	if err != nil {
		return nil
	}
	return store
}

// buildID tells programs apart that may render differently. The Go linker notes
// it in the section .note.go.buildid: name length, length, type, "Go\0\0", ID.
func buildID() (string, error) {
	file, err := elf.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer file.Close()
	section := file.Section(".note.go.buildid")
	if section == nil {
		return "", errors.New("the program has no build ID")
	}
	note, err := section.Data()
	if err != nil {
		return "", err
	}
	_, id, found := bytes.Cut(note, []byte("Go\x00\x00"))
	if !found || len(id) == 0 {
		return "", errors.New("the program has no build ID")
	}
	return hex.EncodeToString(id), nil
}

const renderWorker = "render-worker"

func renderWorkerCmd() *exec.Cmd { return self(renderWorker) }

// self runs this program again, under the name that it was run by.
func self(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	return cmd
}

func newRenderWorkerCmd() *cobra.Command {
	return &cobra.Command{
		Use:    renderWorker,
		Short:  "Render charts for another process of holdfast",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			debug.SetGCPercent(400) // it is small, and ends soon
			return render.Work(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
