package fleet

import (
	"regexp"
	"strings"
)

var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
)

// ValidLabel tells whether key and value make a label as Kubernetes has them.
func ValidLabel(key, value string) bool {
	return validLabelKey(key) && validLabelValue(value)
}

func validLabelKey(key string) bool {
	prefix, name, found := strings.Cut(key, "/")
	if !found {
		return labelName.MatchString(key)
	}
	return len(prefix) <= 253 && labelPrefix.MatchString(prefix) && labelName.MatchString(name)
}

func validLabelValue(value string) bool { return value == "" || labelName.MatchString(value) }

// labels checks labels that a file gives.
func (ps *problems) labels(file string, given []scalar) {
	for _, s := range given {
		switch {
		case !validLabelKey(s.Name):
			ps.add(file, s.Line, "use letters, digits, -, _ and ., at most 63 of them, after a DNS name and / if you like", "%q is not a name for a label", s.Name).Rule = RuleBadName
		case s.Tag != "!!str":
			ps.add(file, s.Line, "quote it if the text is meant", "label %s must be a string, not %s", s.Name, kindOf(s.Tag))
		case !validLabelValue(s.Text):
			ps.add(file, s.Line, "use letters, digits, -, _ and ., at most 63 of them", "label %s: %q is not a value for a label", s.Name, s.Text)
		}
	}
}

func labelShape() schema {
	return schema{"type": "object", "additionalProperties": schema{"type": "string", "pattern": `^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$`}}
}

func variableValuesShape() schema {
	return schema{"type": "object", "additionalProperties": schema{"type": []string{"string", "integer", "boolean"}}}
}
