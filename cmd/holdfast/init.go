package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/scaffold"
	"github.com/holdfast-fleet/holdfast/trust"
)

type initOptions struct {
	name, profile, distribution, site string
	signers                           []string
	output                            string
}

func newInitCmd() *cobra.Command {
	var opts initOptions
	cmd := &cobra.Command{
		Use:               "init DIR",
		ValidArgsFunction: completeFolder,
		Short:             "Make a new fleet",
		Long: `Make a new fleet in DIR, which is empty, or a clone of an empty repository: a
profile, a site, the public keys of its owners, a policy by which signed tags release
to hosts, files for GitHub and GitLab that check each pull request, and JSON Schemas
for editors.

The owners are --signer, files of public keys as ssh-keygen and gpg --export --armor
write them; by default the key that git is set up to sign with. A private key is
neither read nor made.`,
		Example: `  holdfast init shops
  holdfast init shops --signer alice.pub --signer bob.asc --profile web-shop --distribution kubeadm --site emea/store-001`,
		Args: oneArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInit(cmd.OutOrStdout(), args[0], opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.name, "name", "", "name of the fleet (default: that of the folder)")
	f.StringVar(&opts.profile, "profile", "edge", "name of the first profile")
	addDistribution(cmd, &opts.distribution)
	f.StringVar(&opts.site, "site", "site-001", "folder of the first site, below sites/")
	f.StringArrayVar(&opts.signers, "signer", nil, "file of an owner's public key (may be repeated)")
	_ = cmd.MarkFlagFilename("signer")
	addOutput(cmd, &opts.output)
	return cmd
}

func runInit(w io.Writer, dir string, opts initOptions) error {
	if err := vacant(dir); err != nil {
		return err
	}
	keys, err := signerKeys(opts.signers)
	if err != nil {
		return err
	}
	ring, err := trust.ParseKeyring(keys)
	if err != nil {
		return err
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if opts.name == "" {
		opts.name = hostName(filepath.Base(full))
	}
	files, err := scaffold.Fleet{
		Name: opts.name, Profile: opts.profile, Distribution: opts.distribution, Site: strings.TrimPrefix(opts.site, "sites/"),
		Keys: keys, Owners: ring.Names(), Version: version,
	}.Write()
	if err != nil {
		return err
	}
	for _, kind := range kinds() {
		if files[scaffold.SchemaDir+"/"+kind+".json"], err = schemaOf(kind); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	e := editFleet(dir)
	e.files = files
	names, err := e.write()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); errors.Is(err, fs.ErrNotExist) {
		if _, err := runGit(dir, "", "init", "--quiet", "--initial-branch=main"); err != nil {
			return err
		}
	}
	if opts.output != "text" {
		return printAs(w, opts.output, map[string]any{"fleet": opts.name, "owners": ring.Names(), "written": names})
	}
	_, err = fmt.Fprintf(w, `made the fleet %s in %s: %d files
owners: %s

Now look at it, commit it, signed, and release it to hosts:
  cd %[2]s
  git add . && git commit -S -m 'Begin the fleet'
  git tag -s v1 -m v1
`, opts.name, dir, len(names), strings.Join(ring.Names(), ", "))
	return err
}

// vacant refuses a folder with files in it.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != ".git" {
			return &tipError{fmt.Errorf("%s is not empty: it has %s", dir, e.Name()), "name a new folder, or a clone of an empty repository"}
		}
	}
	return nil
}

const signerTip = "give --signer FILE, a public key; or tell git which key to sign with: git config user.signingKey, and gpg.format ssh for an SSH key"

// signerKeys returns the files of trust/ with the keys of the owners.
func signerKeys(files []string) (scaffold.Files, error) {
	keys := scaffold.Files{}
	if len(files) == 0 {
		key, err := signingKey()
		if err != nil {
			return nil, err
		}
		return keys, addKey(keys, "owner", key)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := hostName(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
		if err := addKey(keys, name, data); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return keys, nil
}

// addKey adds a public key to the files of trust/.
func addKey(keys scaffold.Files, name string, data []byte) error {
	if strings.Contains(string(data), "PRIVATE KEY") {
		return &tipError{errors.New("this is a private key"), "name the public one"}
	}
	if strings.HasPrefix(string(data), "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
		if _, taken := keys[name+".asc"]; taken {
			return fmt.Errorf("two keys are named %s", name)
		}
		keys[name+".asc"] = data
		return nil
	}
	for line := range strings.Lines(string(data)) {
		parts := strings.Fields(line)
		if len(parts) == 0 {
			continue
		}
		if len(parts) < 2 {
			return &tipError{errors.New("not a public key of OpenSSH or OpenPGP"), signerTip}
		}
		who := ""
		if len(parts) > 2 && strings.Contains(parts[2], "@") {
			who = parts[2]
		} else if who = gitConfig("user.email"); who == "" {
			return &tipError{errors.New("the key does not say whose it is"), "put an e-mail address behind it, or into git config user.email"}
		}
		keys["allowed_signers"] = append(keys["allowed_signers"], fmt.Sprintf("%s namespaces=\"git\" %s %s\n", who, parts[0], parts[1])...)
	}
	return nil
}

func gitConfig(name string) string {
	out, err := exec.Command("git", "config", "--get", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// signingKey is the public half of the key that git signs with.
func signingKey() ([]byte, error) {
	key := gitConfig("user.signingkey")
	if gitConfig("gpg.format") != "ssh" {
		if key == "" {
			key = gitConfig("user.email")
		}
		data, err := exec.Command("gpg", "--batch", "--armor", "--export", "--", key).Output()
		if key == "" || err != nil || len(data) == 0 {
			return nil, &tipError{errors.New("git has no key to sign with"), signerTip}
		}
		return data, nil
	}
	if literal, ok := strings.CutPrefix(key, "key::"); ok || strings.HasPrefix(key, "ssh-") || strings.HasPrefix(key, "ecdsa-") {
		return []byte(literal + "\n"), nil
	}
	if rest, ok := strings.CutPrefix(key, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		key = filepath.Join(home, rest)
	}
	data, err := os.ReadFile(strings.TrimSuffix(key, ".pub") + ".pub")
	if key == "" || err != nil {
		return nil, &tipError{errors.Join(errors.New("git has no key to sign with"), err), signerTip}
	}
	return data, nil
}
