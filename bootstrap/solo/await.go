package solo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// crashes are how often the unit may end before that is what is wrong.
const crashes = 4

// await returns when the cluster is healthy. A unit that ends again and again is not waited for.
func (n *node) await(ctx context.Context) error {
	began := n.restarts(ctx)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		err := n.healthy(ctx)
		if err == nil && n.Worker {
			err = n.joined(ctx)
		}
		if err == nil {
			return nil
		}
		if n.restarts(ctx) > began+crashes {
			return fmt.Errorf("%s.service ends whenever it is started", n.unit())
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// restarts is how often systemd has started the unit again, see systemd.service(5).
func (n *node) restarts(ctx context.Context) int {
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=NRestarts", "--value", n.unit()+".service").Output()
	if err != nil {
		return 0
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return 0
	}
	return count
}

// lastWords are the end of what the unit wrote to the journal.
func (n *node) lastWords() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", "--unit="+n.unit()+".service", "--identifier="+n.Name, "--lines=3", "--output=cat", "--no-pager").Output()
	if text := strings.TrimSpace(string(out)); err == nil && text != "" {
		return ": " + text
	}
	return ""
}
