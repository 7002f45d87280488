package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"golang.org/x/term"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/trust"
)

type registerOptions struct {
	dataDir string
	qr      bool
	output  string

	fleet, site, host, key, role, address string // at headquarters
}

func newRegisterCmd() *cobra.Command {
	var opts registerOptions
	cmd := &cobra.Command{
		Use:   "register",
		Short: "Show this host's key, or add a host to the fleet",
		Long: `On a host: show its key (made the first time), as a fingerprint, as a file to
commit and as a QR code.

At headquarters, with --site, --host and --key: write the host's file into the
fleet. Commit it, signed, and the host takes up its work.`,
		Example: `  holdfast register
  holdfast register --fleet . --site sites/emea/store-042 --host store-042-a --key 'ssh-ed25519 AAAA…'
  holdfast register --site store-042 --host store-042-b --role worker --address 10.0.42.12 --key 'ssh-ed25519 AAAA…'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRegister(cmd.OutOrStdout(), opts) },
	}
	f := cmd.Flags()
	addDataDir(cmd, &opts.dataDir)
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	f.BoolVar(&opts.qr, "qr", false, "show the QR code even if this is no terminal")
	f.StringVar(&opts.site, "site", "", "path or name of the host's site")
	f.StringVar(&opts.host, "host", "", "name of the host")
	f.StringVar(&opts.key, "key", "", "public key of the host")
	f.StringVar(&opts.address, "address", "", "static address of the host; a site of several hosts needs that of each control-plane host")
	addChoice(cmd, "role", "", choice{&opts.role, "role", []string{string(fleet.ControlPlane), string(fleet.Worker)}})
	cmd.MarkFlagsRequiredTogether("site", "host", "key")
	_ = cmd.RegisterFlagCompletionFunc("site", completeSites)
	return cmd
}

func runRegister(w io.Writer, opts registerOptions) error {
	if opts.site != "" || opts.host != "" || opts.key != "" {
		return registerHost(w, opts)
	}
	if err := os.MkdirAll(opts.dataDir, 0o700); err != nil {
		return err
	}
	id, err := identity.Load(filepath.Join(opts.dataDir, "identity"))
	if err != nil {
		return err
	}
	if opts.output != "text" {
		return printAs(w, opts.output, map[string]any{
			"fingerprint": id.Fingerprint(), "key": id.PublicKey(), "facts": id.Facts(), "url": registrationURL(id),
		})
	}
	if opts.qr || isTerminal(w) {
		return printRegistration(w, id)
	}
	return printKey(w, id)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printRegistration shows what a person needs to register this host, with the QR code.
func printRegistration(w io.Writer, id *identity.Identity) error {
	if err := printKey(w, id); err != nil {
		return err
	}
	qrterminal.GenerateHalfBlock(registrationURL(id), qrterminal.L, w)
	return nil
}

func printKey(w io.Writer, id *identity.Identity) error {
	facts := id.Facts()
	name := hostName(facts.Hostname)
	file, err := hostFile(name, spec{Identity: id.PublicKey(), Role: fleet.ControlPlane, State: fleet.Active})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `fingerprint  %s
public key   %s
machine      %s, %s, %s, %d CPUs, %s of memory

To register it, commit this as sites/<site>/hosts/%s.yaml:

%s
`, id.Fingerprint(), id.PublicKey(), facts.Hostname, facts.OS, facts.Arch, facts.CPUs, sizeText(int64(facts.MemoryBytes)), name, file)
	return err
}

// registrationURL is what the QR code says: holdfast://register?arch=…&hostname=…&key=….
func registrationURL(id *identity.Identity) string {
	facts := id.Facts()
	query := url.Values{"key": {id.PublicKey()}, "hostname": {facts.Hostname}, "arch": {facts.Arch}}
	return (&url.URL{Scheme: "holdfast", Host: "register", RawQuery: query.Encode()}).String()
}

const hostNamePattern = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

// hostName makes a name for a host out of a machine's.
func hostName(machine string) string {
	name, _, _ := strings.Cut(strings.ToLower(machine), ".")
	if !regexp.MustCompile(hostNamePattern).MatchString(name) {
		return "host-a"
	}
	return name
}

// spec is what a file says of a host.
type spec struct {
	Identity string      `yaml:"identity"`
	Role     fleet.Role  `yaml:"role"`
	State    fleet.State `yaml:"state"`
	Network  struct {
		Address string `yaml:"address"`
	} `yaml:"network,omitempty"`
}

// hostFile writes a Host as fleet loads it.
func hostFile(name string, host spec) ([]byte, error) {
	type metadata struct {
		Name string `yaml:"name"`
	}
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Spec       spec     `yaml:"spec"`
	}{fleet.APIVersion, "Host", metadata{name}, host})
	return []byte(b.String()), err
}

// registerHost writes a host's file into the fleet and checks that the fleet
// still loads with it; otherwise the file is taken away again.
func registerHost(w io.Writer, opts registerOptions) error {
	if !regexp.MustCompile(hostNamePattern).MatchString(opts.host) {
		return usagef("%q is not a name for a host: lower case letters, digits, dashes", opts.host)
	}
	key, fingerprint, err := identity.ParsePublicKey(opts.key)
	if err != nil {
		return err
	}
	f, err := loadFleet(opts.fleet)
	if err != nil {
		return err
	}
	site, err := siteNamed(f, opts.site)
	if err != nil {
		return err
	}
	if other, err := f.HostByIdentity(key); err == nil {
		return &tipError{error: fmt.Errorf("the key %s is already registered: %s", fingerprint, other.File), tip: "every machine makes its own key; do not copy a host's data folder"}
	}
	name := path.Join(site.Dir, "hosts", opts.host+".yaml")
	entry := spec{Identity: key, Role: fleet.Role(opts.role), State: fleet.Active}
	entry.Network.Address = opts.address
	data, err := hostFile(opts.host, entry)
	if err != nil {
		return err
	}
	if err := addHostFile(opts.fleet, name, data); err != nil {
		return err
	}
	if opts.output != "text" {
		return printAs(w, opts.output, map[string]string{"file": name, "host": opts.host, "site": site.Dir, "role": opts.role, "fingerprint": fingerprint})
	}
	_, err = fmt.Fprintf(w, `wrote %s
fingerprint %s (compare it with the host's)

Now commit it, signed%[5]s:
  git add %[1]s && git commit -S -m 'Register %[3]s at %[4]s'
`, name, fingerprint, opts.host, site.Name, released(opts.fleet))
	return err
}

// released says what else it takes until hosts take a commit, where the fleet is in releases mode.
func released(dir string) string {
	const file = "trust/policy.yaml"
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		return ""
	}
	policy, err := trust.ParsePolicy(file, data)
	if err != nil || !policy.Releases() {
		return ""
	}
	return ", and release it by a signed tag, as " + file + " has it"
}

func addHostFile(dir, name string, data []byte) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Lstat(file); err == nil {
		return &fleet.Problem{File: name, Msg: "the host is already there", Tip: "choose another name, or edit the file to give the host a new key"}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := durable.WriteFile(file, data, 0o644); err != nil {
		return err
	}
	if _, err := fleet.LoadWith(os.DirFS(dir), fleet.Options{Pins: &clonePins{dir: dir}}); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}
