package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
	"github.com/holdfast-fleet/holdfast/support"
)

type supportOptions struct{ dataDir, config, out string }

func newSupportBundleCmd() *cobra.Command {
	var opts supportOptions
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Pack what somebody far away needs to help, without secrets",
		Long: `Pack what somebody far away needs to help: status, events, the agent's log and
configuration, what should run and what may be in the cluster, how nodes and pods
are. It says what is in the archive, which begins with the same list.

Secrets, keys, tokens and credentials are taken out: those that the agent knows, in
any form, and what looks like one. Objects are named, and not contained. It works
when agent and cluster are down.`,
		Example: `  holdfast support-bundle
  holdfast support-bundle -o /media/stick/store-042.tar.gz`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSupportBundle(cmd, opts) },
	}
	addDataDir(cmd, &opts.dataDir)
	cmd.Flags().StringVar(&opts.config, "config", defaultAgentConfig, "configuration of the agent")
	cmd.Flags().StringVarP(&opts.out, "out", "o", "", "file to write; default holdfast-support-HOST-TIME.tar.gz")
	_ = cmd.MarkFlagFilename("out", "tar.gz")
	return cmd
}

func runSupportBundle(cmd *cobra.Command, opts supportOptions) error {
	if err := isFolder(opts.dataDir, "say where the agent's data is with --data-dir"); err != nil {
		return err
	}
	at := time.Now().UTC()
	st, noStatus := readStatus(statusOptions{dataDir: opts.dataDir})
	name := fmt.Sprintf("holdfast-support-%s-%s", st.Host, at.Format("20060102T150405Z"))
	if st.Host == "" {
		name = "holdfast-support-" + at.Format("20060102T150405Z")
	}
	hide := new(support.Redactor)
	a := support.New(hide)
	a.Add("redaction.txt", "secrets that could not be looked up, to be hidden by name", nil, hideAll(hide, opts, st.Kubeconfig))
	packHost(cmd.Context(), a, opts, st, noStatus)
	packFiles(a, opts)
	packCluster(cmd.Context(), a, st.Kubeconfig)
	if _, err := fmt.Fprint(cmd.OutOrStdout(), a.List()); err != nil {
		return err
	}
	if opts.out == "" {
		opts.out = name + ".tar.gz"
	}
	if err := writeArchive(a, opts.out, name, at); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "\n%s\n", opts.out)
	return err
}

// writeArchive makes a file that its owner alone may read; what had the name is replaced
// when all is written.
func writeArchive(a *support.Archive, path, name string, at time.Time) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".support-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := a.Write(tmp, name, at); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// packHost packs what is known of the host as it is now.
func packHost(ctx context.Context, a *support.Archive, opts supportOptions, st hostStatus, noStatus error) {
	var machine bytes.Buffer
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		fmt.Fprintf(&machine, "holdfast %s\n%s %s %s\n", version, unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	}
	for _, file := range []string{"/etc/os-release", "/proc/uptime", "/proc/meminfo", "/proc/loadavg", "/proc/pressure/io", "/proc/pressure/memory"} {
		if data, err := os.ReadFile(file); err == nil {
			fmt.Fprintf(&machine, "\n# %s\n%s", file, data)
		}
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(opts.dataDir, &disk); err == nil {
		fmt.Fprintf(&machine, "\n# disk of %s\n%d MB free of %d MB\n", opts.dataDir, disk.Bavail*uint64(disk.Bsize)>>20, disk.Blocks*uint64(disk.Bsize)>>20)
	}
	a.Add("machine.txt", "program, system, memory and disk", machine.Bytes(), nil)
	if noStatus == nil {
		st.found(askCluster(ctx, st.Kubeconfig))
		s := newSheet(io.Discard)
		st.print(s)
		a.Add("status.txt", "holdfast status", []byte(s.String()), nil)
		said, err := json.MarshalIndent(st, "", "  ")
		a.Add("status.json", "the same for programs", said, err)
	} else {
		a.Add("status.json", "what the host runs and why", nil, noStatus)
	}
	log, err := logOf(ctx)
	a.Add("agent.log", "the agent's log", log, err)
}

// logOf asks systemd for the agent's log.
func logOf(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", "--unit", "holdfast", "--lines", "5000", "--output", "short-iso", "--no-pager", "--quiet").Output()
	if err == nil && len(out) == 0 {
		err = errors.New("the journal has nothing of the unit holdfast")
	}
	return out, err
}

// packFiles packs files of the agent, by name: whatever else is in its folder stays there.
func packFiles(a *support.Archive, opts supportOptions) {
	for _, f := range []struct{ name, what string }{
		{"events.jsonl", "holdfast events"},
		{"events.old.jsonl", "the events before"},
		{"verdicts.json", "layers that were found bad"},
		{"inventory.json", "which objects may be in the cluster"},
		{"news.json", "when the fleet was last heard of"},
		{"sources.json", "which sources are proven"},
		{"agent/state.json", "which agents were tried"},
		{"source/floor", "the newest revision that was accepted"},
	} {
		data, err := os.ReadFile(filepath.Join(opts.dataDir, f.name))
		if !errors.Is(err, fs.ErrNotExist) {
			a.Add(f.name, f.what, data, err)
		}
	}
	confirmed, err := confirmedOutline(opts.dataDir)
	a.Add("confirmed.json", "what was confirmed: layers with their digests", confirmed, err)
	a.Add("files.txt", "names and sizes in the data folder", listFiles(opts.dataDir), nil)
	config, err := os.ReadFile(opts.config)
	if !errors.Is(err, fs.ErrNotExist) {
		a.Add("agent.yaml", "the agent's configuration", config, err)
	}
}

// confirmedOutline says what was confirmed, but for the objects themselves.
func confirmedOutline(dataDir string) ([]byte, error) {
	commit, desired, ok, err := reconciler.ReadConfirmed(dataDir)
	if err != nil || !ok {
		return nil, err
	}
	type layer struct {
		Name      string   `json:"name"`
		DependsOn []string `json:"dependsOn,omitempty"`
		Digest    string   `json:"digest"`
		Objects   int      `json:"objects"`
	}
	var layers []layer
	for _, l := range desired.Cluster.Layers {
		layers = append(layers, layer{l.Name, l.DependsOn, l.Digest, len(l.Objects)})
	}
	return json.MarshalIndent(map[string]any{
		"commit": commit, "site": desired.Site, "host": desired.Host, "cluster": desired.Cluster.Digest, "node": desired.Node.Digest,
		"layers": layers, "images": desired.Cluster.Images, "content": desired.Node.Content,
	}, "", "  ")
}

// listFiles lists what is not too deep in a folder, and not too much.
func listFiles(dir string) []byte {
	const deep, most = 4, 5000
	var b bytes.Buffer
	n := 0
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", name, err)
			return nil
		}
		if n++; n > most {
			return fs.SkipAll
		}
		if info, err := d.Info(); err == nil {
			fmt.Fprintf(&b, "%s %10d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), printable(name))
		}
		if d.IsDir() && strings.Count(name, "/") >= deep-1 {
			return fs.SkipDir
		}
		return nil
	})
	return b.Bytes()
}

// packCluster asks the cluster how it is, if it answers.
func packCluster(ctx context.Context, a *support.Archive, kubeconfig string) {
	if kubeconfig == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c, err := kube.Connect(kubeconfig, nil)
	said := ""
	if err == nil {
		said, err = c.Survey(ctx)
	}
	a.Add("cluster.txt", "nodes, pods and warnings", []byte(said), err)
}
