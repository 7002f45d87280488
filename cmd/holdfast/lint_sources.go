package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// lintSources checks that the hosts can open the credentials of their sources.
func lintSources(fsys fs.FS, sites []*fleet.Site) error {
	var sources []fleet.Source
	users := map[fleet.Source][]*fleet.Host{}
	for _, site := range sites {
		for _, s := range site.Sources {
			if s.Credentials == "" {
				continue
			}
			if users[s] == nil {
				sources = append(sources, s)
			}
			users[s] = append(users[s], site.Active()...)
		}
	}
	var errs []error
	for _, s := range sources {
		errs = append(errs, lintCredentials(fsys, s, users[s]))
	}
	return fleet.Join(errs...)
}

func lintCredentials(fsys fs.FS, s fleet.Source, users []*fleet.Host) error {
	data, err := fleet.ReadFile(fsys, s.Credentials, fleet.MaxFileSize)
	if err != nil {
		return err
	}
	doc, err := secrets.Parse(s.Credentials, data)
	if err != nil {
		p := &fleet.Problem{File: s.File, Line: s.Line, Msg: "credentials: " + err.Error()}
		if h := interface{ Hint() string }(nil); errors.As(err, &h) {
			p.Tip = h.Hint()
		}
		return p
	}
	can := map[string]bool{}
	for _, r := range doc.Recipients() {
		can[r] = true
	}
	var cannot []string
	for _, h := range users {
		if !can[h.Identity] {
			cannot = append(cannot, h.Name)
		}
	}
	if len(cannot) == 0 {
		return nil
	}
	who := strings.Join(cannot[:min(5, len(cannot))], ", ")
	if more := len(cannot) - 5; more > 0 {
		who += fmt.Sprintf(" and %d more hosts", more)
	}
	return &fleet.Problem{
		File: s.File, Line: s.Line, Msg: fmt.Sprintf("%s cannot open %s", who, s.Credentials),
		Tip: "add the identity of their host files to .sops.yaml, then: holdfast secrets rotate " + s.Credentials,
	}
}
