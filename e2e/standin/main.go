// Command standin stands in for k3s, RKE2 and k0s, whose programs our tests
// cannot have: it runs the embedded Kubernetes behind the command line of the
// one that it is called by the name of, and accepts only what the documentation
// of that one has (see package documented). Anything else ends it with an error
// that names it. Where it does not do what the real one does, it says nothing.
//
// Its version is the last line of its file: "standin v1.36.3+k3s1". The
// programs of Kubernetes are in /usr/lib/standin.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// programs is where the test's hosts have those of the embedded Kubernetes.
const programs = "/usr/lib/standin"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, filepath.Base(os.Args[0]), os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run does what the named program would do with these words.
func run(ctx context.Context, name string, words []string) error {
	table, err := documented.Load(name)
	if err != nil {
		return err
	}
	cmd, err := table.Command(words)
	if err != nil {
		return err
	}
	commands := k0s{table}.commands()
	if one, known := family[name]; known {
		one.table = table
		commands = one.commands()
	}
	do, known := commands[cmd.Name]
	if !known {
		return fmt.Errorf("%s %s is documented, but nothing here stands in for it", name, cmd.Name)
	}
	return do(ctx, cmd)
}

// version is what the end of this program's file says.
func version() (string, error) {
	file, err := os.Executable()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	last := data[bytes.LastIndexByte(bytes.TrimRight(data, "\n"), '\n')+1:]
	version, ok := strings.CutPrefix(strings.TrimSpace(string(last)), "standin ")
	if !ok {
		return "", errors.New("this stand-in was given no version")
	}
	return version, nil
}

// become runs another program in place of this one.
func become(program string, args ...string) error {
	return syscall.Exec(program, append([]string{program}, args...), os.Environ())
}
