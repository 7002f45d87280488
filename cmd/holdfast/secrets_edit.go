package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/secrets"
)

func newSecretsEditCmd() *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use:   "edit FILE",
		Short: "Change what is in a secret, or make a new one",
		Long: `Open a secret in $EDITOR and encrypt what becomes of it to the same recipients;
what did not change keeps its ciphertext. A file that does not exist yet, or is not
encrypted yet, is encrypted as the nearest .sops.yaml says. The plain text is kept
in memory (/dev/shm) where there is such a folder, and removed in any case.`,
		Example: `  holdfast secrets edit bases/registry/password.yaml
  EDITOR=true holdfast secrets edit FILE   # only encrypt what is in FILE`,
		Args: oneArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			e := editing{file: args[0], keys: keys, in: cmd.InOrStdin(), out: cmd.ErrOrStderr()}
			return e.run(cmd.Context())
		},
	}
	addIdentity(cmd, &keys)
	return cmd
}

// editing is one run of "secrets edit".
type editing struct {
	file string
	keys []string // files
	in   io.Reader
	out  io.Writer
}

// draft is what is edited, and how it is encrypted afterwards.
type draft struct {
	plain []byte
	mode  os.FileMode
	same  bool // may stay as it is: encrypting it is the change
	seal  func(plain []byte) ([]byte, error)
}

func (e editing) run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT) // the plain text must go in any case
	defer stop()
	d, err := e.load()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(memory(), "holdfast-*") // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, filepath.Base(e.file))
	if err := os.WriteFile(tmp, d.plain, 0o600); err != nil {
		return err
	}
	for {
		sealed, err := e.round(ctx, tmp, d)
		if err == nil {
			return durable.WriteFile(e.file, sealed, d.mode)
		}
		var broken *brokenEdit
		if !errors.As(err, &broken) || !e.again(ctx, err) {
			return err
		}
	}
}

// brokenEdit is an error in what was written, which can be mended there.
type brokenEdit struct{ error }

func (b *brokenEdit) Unwrap() error { return b.error }

func (e editing) round(ctx context.Context, tmp string, d draft) ([]byte, error) {
	if err := e.editor(ctx, tmp); err != nil {
		return nil, err
	}
	plain, err := readSmall(tmp)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(plain, d.plain) && !d.same {
		return nil, fmt.Errorf("%s: nothing changed, so nothing is written", e.file)
	}
	sealed, err := d.seal(plain)
	if err != nil {
		return nil, &brokenEdit{err}
	}
	return sealed, nil
}

// load opens the secret, or begins a new one.
func (e editing) load() (draft, error) {
	data, err := readSmall(e.file)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return draft{}, err
	}
	d := draft{plain: data, mode: 0o644, same: !isNew}
	if info, err := os.Stat(e.file); err == nil {
		d.mode = info.Mode().Perm()
	}
	rule, ruleErr := ruleFor(e.file)
	if isNew || !secrets.Detect(e.file, data) {
		d.seal = func(plain []byte) ([]byte, error) { return secrets.Encrypt(e.file, plain, rule, time.Now()) }
		return d, ruleErr
	}
	plain, err := openSecret(e.file, data, e.keys)
	if err != nil {
		return draft{}, err
	}
	d.same = false
	d.seal = func(edited []byte) ([]byte, error) { return plain.Edit(edited, rule.Indent, time.Now()) }
	d.plain, err = plain.Bytes()
	return d, err
}

func openSecret(file string, data []byte, keys []string) (*secrets.Plaintext, error) {
	doc, err := secrets.Parse(file, data)
	if err != nil {
		return nil, err
	}
	ids, err := identities(keys)
	if err != nil {
		return nil, err
	}
	return doc.Open(ids...)
}

// memory is a folder that is never written to a disk, or empty.
func memory() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() && syscall.Access(shm, 2) == nil {
		return shm
	}
	return ""
}

// editor runs $EDITOR, which may have arguments, as git does.
func (e editing) editor(ctx context.Context, file string) error {
	editor := os.Getenv("EDITOR")
	for _, usual := range []string{"vi", "nano"} {
		if _, err := exec.LookPath(usual); err == nil && editor == "" {
			editor = usual
		}
	}
	if editor == "" {
		return &tipError{errors.New("no editor is set"), "set EDITOR"}
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$@"`, "sh", file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.in, os.Stdout, e.out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("edit %s with %s: %w", e.file, editor, err)
	}
	return nil
}

// again shows what is wrong and asks, on a terminal, whether to mend it.
func (e editing) again(ctx context.Context, wrong error) bool {
	f, isFile := e.in.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) || ctx.Err() != nil {
		return false
	}
	report(e.out, wrong)
	fmt.Fprint(e.out, "edit again? [Y/n] ")
	answer, err := bufio.NewReader(f).ReadString('\n')
	return err == nil && !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "n")
}
