package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

const (
	defaultAgentConfig = "/etc/holdfast/agent.yaml"
	maxAgentConfig     = 256 << 10 // bytes
)

// agentConfig is the file that holdfast agent reads; docs/how-to/sources.md
// describes every field.
type agentConfig struct {
	APIVersion string          `yaml:"apiVersion"` // holdfast.dev/v1alpha1
	Kind       string          `yaml:"kind"`       // AgentConfig
	Spec       agentConfigSpec `yaml:"spec"`
}

type agentConfigSpec struct {
	Anchor   string         `yaml:"anchor"`
	Recovery string         `yaml:"recovery"`
	Branch   string         `yaml:"branch"`
	Interval duration       `yaml:"interval"`
	Sources  []sourceConfig `yaml:"sources"`
	Bundles  []string       `yaml:"bundles"`
	Metrics  string         `yaml:"metrics"` // address; default none, but the socket
}

type sourceConfig struct {
	Git    string `yaml:"git"`    // URL; this or Mirror
	Mirror string `yaml:"mirror"` // URL

	TokenFile       string `yaml:"tokenFile"`
	Username        string `yaml:"username"`
	PasswordFile    string `yaml:"passwordFile"`
	CAFile          string `yaml:"caFile"`
	CertificateFile string `yaml:"certificateFile"`
	KeyFile         string `yaml:"keyFile"`
	KnownHostsFile  string `yaml:"knownHostsFile"`
	Proxy           string `yaml:"proxy"`

	AnswerWithin duration `yaml:"answerWithin"`
	IdleWithin   duration `yaml:"idleWithin"`
	Deadline     duration `yaml:"deadline"`
}

// duration is written as in "90s" or "5m".
type duration time.Duration

// UnmarshalYAML refuses what is not more than 0.
func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || node.Kind != yaml.ScalarNode || parsed <= 0 {
		return fmt.Errorf("line %d: %q is no duration like 90s or 5m", node.Line, node.Value)
	}
	*d = duration(parsed)
	return nil
}

// readAgentConfig reads a file of at most maxAgentConfig bytes.
func readAgentConfig(path string) (*agentConfig, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxAgentConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := parseAgentConfig(data)
	if err != nil {
		return nil, &tipError{fmt.Errorf("%s: %w", path, err), "docs/how-to/sources.md describes every field"}
	}
	return c, nil
}

func parseAgentConfig(data []byte) (*agentConfig, error) {
	if len(data) > maxAgentConfig {
		return nil, fmt.Errorf("larger than %d bytes", maxAgentConfig)
	}
	c := new(agentConfig)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	if c.APIVersion != "holdfast.dev/v1alpha1" || c.Kind != "AgentConfig" {
		return nil, errors.New("not apiVersion: holdfast.dev/v1alpha1, kind: AgentConfig")
	}
	for i, s := range c.Spec.Sources {
		if (s.Git == "") == (s.Mirror == "") {
			return nil, fmt.Errorf("spec.sources[%d] needs git or mirror, a URL, not both", i)
		}
	}
	return c, nil
}

func (s sourceConfig) source() gitsource.Source {
	return gitsource.Source{
		URL: s.Git + s.Mirror, Mirror: s.Mirror != "",
		TokenFile: s.TokenFile, Username: s.Username, PasswordFile: s.PasswordFile,
		CAFile: s.CAFile, CertificateFile: s.CertificateFile, KeyFile: s.KeyFile,
		KnownHostsFile: s.KnownHostsFile, Proxy: s.Proxy,
		Answer: time.Duration(s.AnswerWithin), Idle: time.Duration(s.IdleWithin), Deadline: time.Duration(s.Deadline),
	}
}

// configure fills in what the command line does not say: from the file that it
// names, or from the default one if there is one.
func (o *agentOptions) configure(cmd *cobra.Command) error {
	for _, url := range o.remotes {
		o.sources = append(o.sources, gitsource.Source{URL: url})
	}
	for _, url := range o.mirrors {
		o.sources = append(o.sources, gitsource.Source{URL: url, Mirror: true})
	}
	path := o.config
	if path == "" {
		if _, err := os.Stat(defaultAgentConfig); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		path = defaultAgentConfig
	}
	c, err := readAgentConfig(path)
	if err != nil {
		return err
	}
	for _, s := range c.Spec.Sources {
		o.sources = append(o.sources, s.source())
	}
	o.bundles, o.metrics = append(o.bundles, c.Spec.Bundles...), c.Spec.Metrics
	o.anchor, o.recovery = cmp.Or(o.anchor, c.Spec.Anchor), cmp.Or(o.recovery, c.Spec.Recovery)
	if !cmd.Flags().Changed("branch") && c.Spec.Branch != "" {
		o.branch = c.Spec.Branch
	}
	if !cmd.Flags().Changed("interval") && c.Spec.Interval > 0 {
		o.interval = time.Duration(c.Spec.Interval)
	}
	return nil
}
