package system

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
)

// Path is where the tools of the system are.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// UnitDir is where units are that no package brings.
const UnitDir = "/etc/systemd/system/"

// RunUnitDir is where those are that last until the next boot.
const RunUnitDir = "/run/systemd/system/"

// Run runs a command as root with all of root's powers, as a transient unit,
// waits for it and returns what it printed. One that a dead agent left running
// is ended first.
func Run(ctx context.Context, unit string, env []string, args ...string) (string, error) {
	End(ctx, unit)
	words := []string{"--quiet", "--wait", "--collect", "--pipe", "--unit=" + unit}
	for _, variable := range env {
		words = append(words, "--setenv="+variable)
	}
	var out, both bytes.Buffer
	cmd := exec.CommandContext(ctx, "systemd-run", append(append(words, "--"), args...)...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, &both), &both
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", unit, err, Reason(both.String()))
	}
	return out.String(), nil
}

// End ends what a dead agent may have left running as a transient unit.
func End(ctx context.Context, unit string) {
	if Exists("/run/systemd/transient/" + unit + ".service") {
		_ = Systemctl(ctx, "stop", unit+".service") // it may have ended by itself
	}
}

// Systemctl asks the machine's systemd for something.
func Systemctl(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, Reason(string(out)))
	}
	return nil
}

// Enable has a unit of [UnitDir] start when the machine boots, as systemctl enable does where that says
// WantedBy=multi-user.target: see systemd.unit(5).
func Enable(unit string) error {
	if err := Link(UnitDir+"multi-user.target.wants/"+unit, UnitDir+unit); err != nil {
		return fmt.Errorf("have %s start when the machine boots: %w", unit, err)
	}
	return nil
}

// Reload has systemd heed what changed of a unit. For that it reads all units of the machine, half a second on a small
// one; a unit that it does not have in memory it reads when it is asked for it.
func Reload(ctx context.Context, unit string) error {
	known, err := exec.CommandContext(ctx, "systemctl", "list-units", "--all", "--plain", "--no-legend", unit).Output()
	if err == nil && len(bytes.TrimSpace(known)) == 0 {
		return nil
	}
	return Systemctl(ctx, "daemon-reload")
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Reason is what people look at first: the lines that call themselves errors, or else the last.
func Reason(out string) string {
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
