package render

import (
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of a process while it renders a chart. Templates are programs: they can
// run on without end, or fill all memory in one call, and nothing in a process
// stops them. Charts of real life take a hundredth of this.
const (
	chartSeconds = 10 // of processor time
	chartMemory  = 512 << 20
)

// bound lets this process end if a chart takes too much: of memory at once, of
// processor time when what [allow] gave it is spent.
func bound() error {
	debug.SetMemoryLimit(chartMemory / 4 * 3)
	spent := make(chan os.Signal, 1)
	signal.Notify(spent, unix.SIGXCPU) // which Go would let pass
	go func() {
		<-spent
		os.Exit(1)
	}()
	return limit(unix.RLIMIT_DATA, chartMemory)
}

// allow gives this process processor time for one chart.
func allow() error {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return err
	}
	spent := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return limit(unix.RLIMIT_CPU, uint64(spent/time.Second)+chartSeconds+1)
}

func limit(resource int, most uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(resource, &l); err != nil {
		return err
	}
	l.Cur = min(most, l.Max)
	return unix.Setrlimit(resource, &l)
}
