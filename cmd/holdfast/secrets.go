package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/secrets"
)

func newSecretsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secrets",
		Short: "Edit, rotate and check the secrets of a fleet",
		Long: `Edit, rotate and check the secrets of a fleet: SOPS documents that are encrypted
with age to the keys of hosts and people. The program sops reads and writes them too.

What opens them: the files that --identity, SOPS_AGE_KEY_FILE and
SOPS_AGE_SSH_PRIVATE_KEY_FILE name, SOPS_AGE_KEY itself, and, if they are there,
~/.config/sops/age/keys.txt and ~/.ssh/id_ed25519. Who can open a new document:
the recipients of the first rule of the nearest .sops.yaml that fits its path.`,
		Example: `  holdfast secrets edit sites/emea/store-042/addons/web/password.yaml`,
	}
	cmd.AddCommand(newSecretsEditCmd(), newSecretsRotateCmd(), newSecretsCheckCmd())
	return cmd
}

func addIdentity(cmd *cobra.Command, into *[]string) {
	cmd.Flags().StringArrayVar(into, "identity", nil, "file of a private key that opens secrets, of age or SSH (repeatable)")
	_ = cmd.MarkFlagFilename("identity")
}

// identities reads the private keys that there are, from where sops reads them too.
func identities(files []string) ([]secrets.Identity, error) {
	for _, name := range []string{"SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"} {
		if file := os.Getenv(name); file != "" {
			files = append(files, file)
		}
	}
	var all []secrets.Identity
	for _, file := range files {
		data, err := readSmall(file)
		if err != nil {
			return nil, err
		}
		ids, err := secrets.ParseIdentities(file, data)
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	if keys := os.Getenv("SOPS_AGE_KEY"); keys != "" {
		ids, err := secrets.ParseIdentities("SOPS_AGE_KEY", []byte(strings.Join(strings.Fields(keys), "\n")))
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	usual, err := usualIdentities()
	if all = append(all, usual...); err != nil || len(all) > 0 {
		return all, err
	}
	return nil, &tipError{errors.New("there is no key that could open secrets"), "name its file with --identity, or set SOPS_AGE_KEY_FILE"}
}

// usualIdentities reads the keys of a person, if they are there.
func usualIdentities() ([]secrets.Identity, error) {
	var all []secrets.Identity
	if dir, err := os.UserConfigDir(); err == nil {
		file := filepath.Join(dir, "sops", "age", "keys.txt")
		data, err := readSmall(file)
		if err == nil {
			all, err = secrets.ParseIdentities(file, data)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		file := filepath.Join(home, ".ssh", "id_ed25519")
		if data, err := readSmall(file); err == nil {
			if ids, err := secrets.ParseIdentities(file, data); err == nil { // one with a passphrase is left out
				all = append(all, ids...)
			}
		}
	}
	return all, nil
}

// readSmall reads a file of at most what a document may have.
func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, secrets.MaxSize+1))
	if err == nil && len(data) > secrets.MaxSize {
		err = fmt.Errorf("%s: larger than %d KiB", file, secrets.MaxSize>>10)
	}
	return data, err
}

// ruleFor finds the rule for a file in the nearest .sops.yaml at or above it.
func ruleFor(file string) (secrets.Rule, error) {
	full, err := filepath.Abs(file)
	if err != nil {
		return secrets.Rule{}, err
	}
	for dir := filepath.Dir(full); ; dir = filepath.Dir(dir) {
		config := filepath.Join(dir, secrets.RulesFile)
		data, err := readSmall(config)
		if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			return secrets.Rule{}, &tipError{fmt.Errorf("%s: there is no %s in its folder or above", file, secrets.RulesFile),
				"write one with creation_rules: that say to whom secrets are encrypted"}
		}
		if err != nil {
			return secrets.Rule{}, err
		}
		if here, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(here, config); err == nil {
				config = rel
			}
		}
		rules, err := secrets.ParseRules(config, data)
		if err != nil {
			return secrets.Rule{}, err
		}
		name, err := filepath.Rel(dir, full)
		if err != nil {
			return secrets.Rule{}, err
		}
		return rules.For(filepath.ToSlash(name))
	}
}
