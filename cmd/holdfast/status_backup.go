package main

import (
	"fmt"
	"time"

	"github.com/holdfast-fleet/holdfast/backup"
)

// backupState is how the host's backups are; nil if none was ever tried.
func backupState(dataDir string) (*backup.State, error) {
	s, err := backup.ReadState(dataDir)
	if err != nil || s.Last == nil && s.Failed == nil && len(s.Sent) == 0 {
		return nil, err
	}
	return &s, nil
}

// printBackup says what was backed up last, where it was sent, and what failed.
func (st hostStatus) printBackup(s *sheet) {
	if st.Backup == nil {
		return
	}
	now := st.Now.At
	label := "backup"
	if last := st.Backup.Last; last != nil {
		s.fact(label, "", fmt.Sprintf("%s  %s, %s ago", printable(last.File), sizeText(last.Size), age(now, last.At)))
		label = ""
	}
	say := func(what string, f *backup.Failure) {
		s.fact(label, red, fmt.Sprintf("%s for %s: %s", what, age(now, f.At), printable(f.Message)))
		if f.Hint != "" {
			s.fact("", "", "hint: "+printable(f.Hint))
		}
		label = ""
	}
	if f := st.Backup.Failed; f != nil {
		say("not taken", f)
	}
	for _, sent := range st.Backup.Sent {
		if sent.Failed != nil {
			say("not sent to "+sent.To, sent.Failed)
			continue
		}
		s.fact("", "", fmt.Sprintf("sent to %s, which has %d", printable(sent.To), sent.Count))
	}
	if next := st.Backup.Next; st.Now.Running && next.After(now) {
		s.fact("", "", "the next in "+span(next.Sub(now))+", at "+next.Local().Format(time.DateTime))
	}
}
