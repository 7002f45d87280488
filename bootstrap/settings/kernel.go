package settings

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// change is one of a parameter, and why it is made.
type change struct{ value, why string }

// set makes parameters be as wanted, place below /proc/sys → value, and gives those
// that are not wanted any more the value that they had before.
func (k *keeper) set(ctx context.Context, rec *record, want map[string]string) error {
	changes := map[string]change{}
	isNew := false
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, err := k.parameter(name)
		if err != nil {
			return err
		}
		was, kept := rec.Sysctls[name]
		if have != want[name] {
			changes[name] = change{want[name], why(kept && was.Kept == want[name])}
		}
		if !kept {
			was.Before = have
		}
		isNew = isNew || !kept || was.Kept != want[name]
		rec.Sysctls[name] = sysctl{was.Before, want[name]}
	}
	gone := without(rec.Sysctls, want)
	for _, name := range gone {
		if have, err := k.parameter(name); err == nil && have != rec.Sysctls[name].Before { // it may have gone with its module, or interface
			changes[name] = change{rec.Sysctls[name].Before, takenBack}
		}
	}
	if len(changes) == 0 && len(gone) == 0 && !isNew {
		return nil
	}
	if err := k.note(rec); err != nil {
		return err
	}
	if err := k.writeParameters(ctx, changes); err != nil {
		return err
	}
	for _, name := range gone {
		delete(rec.Sysctls, name)
	}
	return k.note(rec)
}

// without lists the keys of kept that are not wanted any more, in order.
func without[K, W any](kept map[string]K, want map[string]W) []string {
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if _, wanted := want[name]; !wanted {
			gone = append(gone, name)
		}
	}
	return gone
}

// parameter reads one, its words with one space between them.
func (k *keeper) parameter(name string) (string, error) {
	data, err := os.ReadFile(k.at("/proc/sys/" + name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", system.Refuse("the kernel of this host has no parameter "+name, "if it is that of a module, name it under host.modules; else correct host.sysctls of the distribution")
	}
	if err != nil {
		return "", system.Refuse(fmt.Sprintf("sysctl %s cannot be read: %s", name, err), "only parameters that can be read back are kept: take it out of host.sysctls")
	}
	return strings.Join(strings.Fields(string(data)), " "), nil
}

// writeParameters writes them, and reads them back: some take another value than they are given.
func (k *keeper) writeParameters(ctx context.Context, changes map[string]change) error {
	if len(changes) == 0 {
		return nil
	}
	args := []string{"sh", "-c", `while [ $# -gt 0 ]; do printf '%s\n' "$2" >"$1" || exit 1; shift 2; done`, "sh"}
	names := slices.Sorted(maps.Keys(changes))
	for _, name := range names {
		args = append(args, k.at("/proc/sys/"+name), changes[name].value)
	}
	if err := k.run(ctx, "sysctl", args...); err != nil {
		return system.Refuse(fmt.Sprintf("set parameters of the kernel: %s", err), "sysctl -w NAME=VALUE tells on the host which value it does not take")
	}
	for _, name := range names {
		have, err := k.parameter(name)
		if err != nil {
			return err
		}
		if have != changes[name].value {
			return system.Refuse(fmt.Sprintf("sysctl %s is %q after it was set to %q", name, have, changes[name].value), "write it as the kernel says it: cat /proc/sys/"+name)
		}
		k.log.Info(changes[name].why, "sysctl", name)
	}
	return nil
}

// load loads the modules that are not there.
func (k *keeper) load(ctx context.Context, rec *record, want []string) error {
	boot, err := os.ReadFile(k.at("/proc/sys/kernel/random/boot_id"))
	if err != nil {
		return err
	}
	for _, name := range want {
		m, kept := rec.Modules[name]
		loaded := k.loaded(name)
		if kept && (loaded || m.BuiltIn == string(boot)) {
			continue
		}
		if !kept {
			m.Loaded = !loaded
		}
		rec.Modules[name] = m
		if err := k.note(rec); err != nil {
			return err
		}
		if loaded {
			continue
		}
		if err := k.run(ctx, "modprobe", "modprobe", "--", name); err != nil {
			return system.Refuse(fmt.Sprintf("load the kernel's module %s: %s", name, err), "install the modules of the kernel that runs, or take it out of host.modules of the distribution")
		}
		k.log.Info(why(kept), "module", name)
		if !k.loaded(name) { // part of the kernel, without anything to say
			m.BuiltIn, m.Loaded = string(boot), false
			rec.Modules[name] = m
			if err := k.note(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// unload lets modules go that are not wanted any more. One that is in use stays
// until the machine is started again.
func (k *keeper) unload(ctx context.Context, rec *record, want []string) error {
	for _, name := range slices.Sorted(maps.Keys(rec.Modules)) {
		if slices.Contains(want, name) {
			continue
		}
		if rec.Modules[name].Loaded && k.loaded(name) {
			if err := k.run(ctx, "modprobe", "modprobe", "-r", "--", name); err != nil {
				k.log.Warn("a module stays until the next start", "module", name, "error", err)
			}
		}
		delete(rec.Modules, name)
		if err := k.note(rec); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) loaded(name string) bool {
	return system.Exists(k.at("/sys/module/" + strings.ReplaceAll(name, "-", "_")))
}
