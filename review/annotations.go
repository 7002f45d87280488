package review

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Annotations writes a report as commands of a GitHub workflow, which shows them
// beside the lines of a pull request. dir is the folder of the fleet in its
// repository.
func (r *Report) Annotations(w io.Writer, dir string) error {
	value := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, p := range r.Problems {
		at := "file=" + property.Replace(path.Join(dir, p.File))
		if p.Line > 0 {
			at += fmt.Sprintf(",line=%d", p.Line)
		}
		if _, err := fmt.Fprintf(w, "::%s %s,title=%s::%s\n", p.Severity, at, property.Replace(string(p.Rule)), value.Replace(p.withHint())); err != nil {
			return err
		}
	}
	return nil
}
