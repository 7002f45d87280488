package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/render"
)

// fileCommit is the last commit that touched a file.
type fileCommit struct {
	File    string `json:"file"`
	Commit  string `json:"commit"`
	Date    string `json:"date"` // 2026-11-25
	Author  string `json:"author"`
	Subject string `json:"subject"`
	Signer  string `json:"signer,omitempty"` // as the host knows it; empty: others vouch for it
}

func (c fileCommit) String() string {
	if c.Commit == "" {
		return c.File + "  is not committed"
	}
	signed := ""
	if c.Signer != "" {
		signed = ", signed by " + c.Signer
	}
	return fmt.Sprintf("%s  %.12s %s %s%s: %s", c.File, c.Commit, c.Date, c.Author, signed, c.Subject)
}

// lastCommits asks git about each file that made an object. What comes from a pin
// is asked about at the pin.
func lastCommits(ctx context.Context, git clone, e *explainedObject) ([]fileCommit, error) {
	var list []fileCommit
	for _, file := range e.files() {
		at := "HEAD"
		if e.Pin != nil && !strings.HasPrefix(file, "sites/") {
			at = e.Pin.Commit
		}
		said, err := git.run(ctx, "log", "-1", "--format=%H%x00%as%x00%an%x00%s", at, "--", file)
		if err != nil {
			return nil, err
		}
		c := fileCommit{File: file}
		if parts := strings.Split(said, "\x00"); len(parts) == 4 {
			c.Commit, c.Date, c.Author, c.Subject = parts[0], parts[1], parts[2], parts[3]
		}
		list = append(list, c)
	}
	return list, nil
}

// files lists those of the repository that made the object.
func (e *explainedObject) files() []string {
	files := map[string]bool{e.Origin.File: true, e.ChosenIn: true}
	for _, s := range slices.Concat(e.Through, e.Steps) {
		files[s.File] = true
		if !slices.Contains([]string{"resources", "bases", "components"}, s.Field) {
			addAll(files, s)
		}
	}
	for _, v := range e.Variables {
		files[v.Declared.File] = true
		if v.Set != nil {
			files[v.Set.File] = true
		}
	}
	for _, i := range e.Images {
		if i.Locked != nil {
			files[i.Locked.File] = true
		}
	}
	delete(files, "")
	return slices.Sorted(maps.Keys(files))
}

func addAll(files map[string]bool, s render.Step) {
	for _, file := range s.Files {
		files[file] = true
	}
}
