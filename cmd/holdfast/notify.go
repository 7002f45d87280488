package main

import (
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd that the agent is there, and then that it is alive, if it
// was started by a unit that asks, see sd_notify(3).
func notifier(log *slog.Logger) (alive func()) {
	say := func(what string) {
		if _, err := daemon.SdNotify(false, what); err != nil {
			log.Debug("systemd not notified", "error", err)
		}
	}
	say(daemon.SdNotifyReady)
	return func() { say(daemon.SdNotifyWatchdog) }
}
