package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
)

// page shows a long text with $PAGER, as git does: less, if it is not set. Its
// error says that nothing was shown.
func page(ctx context.Context, w io.Writer, text *bytes.Buffer) error {
	pager, set := os.LookupEnv("PAGER")
	if !set {
		pager = "less"
	}
	if pager == "" || pager == "cat" {
		return errors.New("no pager")
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", "command -v ${1%% *} >/dev/null || exit 127; eval \"$1\"", "sh", pager)
	if os.Getenv("LESS") == "" {
		cmd.Env = append(os.Environ(), "LESS=FRX")
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text.Bytes()), w, os.Stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() != 127 {
		return nil // whoever leaves a pager early has seen enough
	}
	return err
}
