package kubeadm

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// path is where the tools of the system are.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// run runs a command as root with all of root's powers, as a transient unit,
// and waits for it. One that a dead agent left running is ended first.
func run(ctx context.Context, unit string, env []string, args ...string) error {
	_ = systemctl(ctx, "stop", unit+".service") // mostly there is none
	words := []string{"--quiet", "--wait", "--collect", "--pipe", "--unit=" + unit}
	for _, variable := range env {
		words = append(words, "--setenv="+variable)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "systemd-run", append(append(words, "--"), args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", unit, err, reason(out.String()))
	}
	return nil
}

func systemctl(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, reason(string(out)))
	}
	return nil
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// reason is what people look at first: the lines that call themselves errors, or else the last.
func reason(out string) string {
	var errors []string
	lines := strings.Split(strings.TrimSpace(colours.ReplaceAllString(out, "")), "\n")
	for _, line := range lines {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "[ERROR ") || strings.HasPrefix(line, "error:") {
			errors = append(errors, line)
		}
	}
	if len(errors) > 0 {
		lines = errors
	}
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
