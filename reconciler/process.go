package reconciler

import (
	"fmt"
	"os"
	"strings"
)

// processOf tells a process from all others that had or will have its pid, whatever
// the clock says: by its name and by the moment since the machine's boot, in ticks,
// when it started. It is empty if there is no such process. The boot has a name,
// too, but containers that are whole machines show it differently to some units.
func processOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	head, rest, found := cutLast(string(stat), ") ")
	_, name, named := strings.Cut(head, " (")
	fields := strings.Fields(rest) // see proc_pid_stat(5), from the third on
	const state, started = 0, 19
	if !found || !named || len(fields) <= started || fields[state] == "Z" {
		return ""
	}
	return name + "-" + fields[started]
}

// cutLast is strings.Cut about the last separator: a name may hold it too.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Running tells whether the agent that wrote the status still runs.
func (a AgentStatus) Running() bool {
	process := processOf(a.PID)
	return process != "" && (a.Process == "" || a.Process == process)
}
