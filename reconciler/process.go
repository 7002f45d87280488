package reconciler

import (
	"fmt"
	"os"
	"strings"
)

// processOf tells a process from all others that had or will have its pid, whatever
// the clock says: by the boot of the machine and the moment in it when the process
// started. It is empty if there is no such process.
func processOf(pid int) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest) // see proc_pid_stat(5), from the third on
	const state, started = 0, 19
	if len(fields) <= started || fields[state] == "Z" {
		return ""
	}
	return fmt.Sprintf("%.8s-%s", boot, fields[started])
}

// Running tells whether the agent that wrote the status still runs.
func (a AgentStatus) Running() bool {
	process := processOf(a.PID)
	return process != "" && (a.Process == "" || a.Process == process)
}
