package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/events"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

func newSyncCmd() *cobra.Command {
	var dataDir, from string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Ask the sources now, and try again what failed",
		Long: `Ask the sources now, and try again what failed, without waiting for the next time.
What was found bad stays so: see "holdfast retry".

With --from the agent takes a bundle, or all bundles of a folder such as a stick's,
once: it trusts them no more than any source. The command waits until it has, and
says what became of them. They are copied, so the stick may be pulled.`,
		Example: `  holdfast sync
  holdfast sync --from /media/stick/fleet.bundle
  holdfast sync --from /media/stick`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return runOnce(cmd.OutOrStdout(), dataDir, orders.Order{Verb: orders.Sync})
			}
			return runSyncFrom(cmd, dataDir, from)
		},
	}
	addDataDir(cmd, &dataDir)
	cmd.Flags().StringVar(&from, "from", "", "bundle, or folder with bundles, to take once")
	_ = cmd.MarkFlagFilename("from")
	return cmd
}

func runSyncFrom(cmd *cobra.Command, dataDir, from string) error {
	paths, err := bundlesAt(from)
	if err != nil {
		return err
	}
	st, err := readStatus(statusOptions{dataDir: dataDir})
	if err != nil {
		return err
	}
	show, done := showLine(cmd)
	if show == nil {
		show = func(string) {}
	}
	defer done()
	brought := map[string]string{} // name in the inbox → path that it came from
	for i, path := range paths {
		name := fmt.Sprintf("%d-%03d-%s", time.Now().UnixNano(), i, strings.TrimLeft(filepath.Base(path), "."))
		if err := bring(path, filepath.Join(dataDir, reconciler.Inbox, name), show); err != nil {
			return err
		}
		brought[name] = path
	}
	if err := give(dataDir, orders.Order{Verb: orders.Sync, At: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return err
	}
	if !st.Now.Running {
		done()
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "no agent runs: it takes %s when it is started\n", count(len(paths), "bundle"))
		return err
	}
	outcomes, err := outcomesOf(cmd.Context(), dataDir, brought, show)
	done()
	return errors.Join(reportOutcomes(cmd.OutOrStdout(), brought, outcomes), err)
}

// bundlesAt lists the bundles of a folder, or the one that is named.
func bundlesAt(from string) ([]string, error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, &tipError{err, "name a bundle, or the folder that it is in; holdfast bundle create makes one"}
	}
	paths := []string{from}
	if info.IsDir() {
		if paths, err = filepath.Glob(filepath.Join(from, "*.bundle")); err != nil {
			return nil, err
		}
		slices.Sort(paths)
	}
	if len(paths) == 0 {
		return nil, &tipError{fmt.Errorf("%s: no file ends with .bundle", from), "holdfast bundle create makes one"}
	}
	for _, path := range paths {
		if _, err := gitsource.InspectBundle(path); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// bring copies a bundle so that the agent finds all of it or nothing.
func bring(path, to string, show func(string)) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	out, err := os.CreateTemp(dir, ".bringing-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if _, err := io.Copy(out, &shownReader{Reader: in, name: path, show: show}); err != nil {
		return fmt.Errorf("copy %s: %w", path, err)
	}
	if err := errors.Join(out.Sync(), os.Rename(out.Name(), to)); err != nil {
		return fmt.Errorf("copy %s: %w", path, err)
	}
	return durable.SyncDir(dir)
}

// shownReader says how much was read.
type shownReader struct {
	io.Reader
	name string
	show func(string)
	n    int64
}

func (r *shownReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.n/(1<<20) != (r.n+int64(n))/(1<<20) {
		r.show(fmt.Sprintf("copying %s: %d MB", r.name, (r.n+int64(n))>>20))
	}
	r.n += int64(n)
	return n, err
}

// outcomesOf waits until the agent has judged what was brought.
func outcomesOf(ctx context.Context, dataDir string, brought map[string]string, show func(string)) (map[string]events.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			st, err := readStatus(statusOptions{dataDir: dataDir})
			switch {
			case err != nil:
			case !st.Now.Running:
				cancel() // it goes on after the next start
			default:
				show(cmp.Or(st.Receiving, "waiting for the agent"))
			}
			select {
			case <-ctx.Done():
			case <-time.After(watchEvery):
			}
		}
	}()
	outcomes := map[string]events.Event{}
	err := events.Follow(ctx, dataDir, func(e events.Event) bool {
		name := e.Facts[reconciler.BundleFile]
		if brought[name] != "" && slices.Contains([]string{reconciler.BundleTaken, reconciler.BundleRefused}, e.What) {
			outcomes[name] = e
		}
		return len(outcomes) < len(brought)
	})
	return outcomes, err
}

// reportOutcomes says what became of each bundle; its error, which are refused.
func reportOutcomes(w io.Writer, brought map[string]string, outcomes map[string]events.Event) error {
	var refused []error
	names := make([]string, 0, len(brought))
	for name := range brought {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path, e := brought[name], outcomes[name]
		text := "not judged yet: the agent does it when it runs again"
		switch e.What {
		case reconciler.BundleRefused:
			refused = append(refused, &tipError{fmt.Errorf("%s: refused: %s", path, e.Facts[reconciler.BundleReason]), "nothing has changed; holdfast trust explain says more at headquarters"})
			continue
		case reconciler.BundleTaken:
			text = e.Facts[reconciler.BundleResult] + ", " + clip(e.Facts["commit"])
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", printable(path), printable(text)); err != nil {
			return err
		}
	}
	return errors.Join(refused...)
}
