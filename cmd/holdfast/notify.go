package main

import (
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd that the agent is there, if it was started by a unit that asks,
// see sd_notify(3). Where the unit has a watchdog, too, it is to be told that the agent is
// alive, ever again within a third of the time that it waits.
func notifier(log *slog.Logger) (alive func(), within time.Duration) {
	say := func(what string) {
		if _, err := daemon.SdNotify(false, what); err != nil {
			log.Debug("systemd not notified", "error", err)
		}
	}
	say(daemon.SdNotifyReady)
	patience, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Error("watchdog of the unit not heeded", "error", err)
	}
	if patience == 0 {
		return nil, 0
	}
	return func() { say(daemon.SdNotifyWatchdog) }, patience / 3
}
