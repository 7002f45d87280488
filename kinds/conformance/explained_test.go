package conformance

import (
	"regexp"
	"strings"
)

// What ours and kubeconform differ in on purpose. An API server decides as ours do.
const (
	aQuantity = "text that is no quantity: the published schemas take any text, an API server does not"
	aRange    = "a number that does not fit: the published schemas take any whole number, an API server does not"
	aByte     = "data that is not base64: the published schemas take any text, an API server does not"
	aNull     = "null: to an API server it is as good as nothing; the published schemas refuse it where fields beside it are required"
)

var formats = map[string]string{"quantity": aQuantity, "int32": aRange, "int64": aRange, "byte": aByte}

var ofFormat = regexp.MustCompile(` is not a ([a-z0-9]+): `)

// explained says why ours and kubeconform differ; empty: nobody knows.
func explained(v verdict) string {
	if v.theirs != "" {
		for line := range strings.SplitSeq(v.theirs, " - at ") {
			switch _, said, found := strings.Cut(line, "': "); {
			case !found: // the head
			case strings.HasPrefix(said, "got null, want "), strings.HasPrefix(said, "validation failed"), strings.HasPrefix(said, "'oneOf' failed, none matched"):
			default:
				return ""
			}
		}
		return aNull
	}
	why := ""
	for fault := range strings.SplitSeq(strings.TrimSuffix(v.ours, "; "), "; ") {
		of := ofFormat.FindStringSubmatch(fault)
		if of == nil {
			return ""
		}
		why = formats[of[1]]
	}
	return why
}
