package secrets

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Selection says which values of a document are encrypted. At most one of its
// rules may be set; without any, all are but those under a key that ends in
// "_unencrypted".
type Selection struct {
	UnencryptedSuffix       string
	EncryptedSuffix         string
	UnencryptedRegex        string
	EncryptedRegex          string
	UnencryptedCommentRegex string
	EncryptedCommentRegex   string

	MACOnlyEncrypted bool // the MAC leaves out what is not encrypted
}

const (
	defaultSuffix = "_unencrypted"
	maxRegex      = 4 << 10 // characters
)

// rules lists the names of the rules, as in the metadata and in .sops.yaml, with their fields.
func (s *Selection) rules() map[string]*string {
	return map[string]*string{
		"unencrypted_suffix":        &s.UnencryptedSuffix,
		"encrypted_suffix":          &s.EncryptedSuffix,
		"unencrypted_regex":         &s.UnencryptedRegex,
		"encrypted_regex":           &s.EncryptedRegex,
		"unencrypted_comment_regex": &s.UnencryptedCommentRegex,
		"encrypted_comment_regex":   &s.EncryptedCommentRegex,
	}
}

// isEmpty reports whether no rule is set.
func (s *Selection) isEmpty() bool {
	for _, value := range s.rules() {
		if *value != "" {
			return false
		}
	}
	return true
}

// selector is a [Selection], ready to use.
type selector struct {
	onKey, onComment func(string) bool // one of them is not nil
	matchEncrypts    bool              // what matches is encrypted, and nothing else; or the reverse
}

func (s *Selection) selector() (selector, error) {
	var set []string
	for name, value := range s.rules() {
		if *value != "" {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	switch len(set) {
	case 0:
		return selector{onKey: func(key string) bool { return strings.HasSuffix(key, defaultSuffix) }}, nil
	case 1:
	default:
		return selector{}, fmt.Errorf("only one of %s may be set", strings.Join(set, ", "))
	}
	name, pattern := set[0], *s.rules()[set[0]]
	matches := func(text string) bool { return strings.HasSuffix(text, pattern) }
	if strings.HasSuffix(name, "_regex") {
		re, err := compile(pattern)
		if err != nil {
			return selector{}, fmt.Errorf("%s: %w", name, err)
		}
		matches = re.MatchString
	}
	if strings.Contains(name, "_comment_") {
		return selector{onComment: matches, matchEncrypts: strings.HasPrefix(name, "encrypted")}, nil
	}
	return selector{onKey: matches, matchEncrypts: strings.HasPrefix(name, "encrypted")}, nil
}

func compile(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxRegex {
		return nil, fmt.Errorf("longer than %d characters", maxRegex)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errors.New("not a regular expression of Go (RE2)")
	}
	return re, nil
}

// encrypts reports whether the value at path is encrypted, under the comments notes.
func (s selector) encrypts(path []string, notes [][]string, isComment bool) bool {
	if s.onKey != nil {
		return slices.ContainsFunc(path, s.onKey) == s.matchEncrypts
	}
	if isComment && s.matchEncrypts {
		// The comment that asks for encryption is not encrypted itself.
		notes = slices.Clone(notes)
		last := len(notes) - 1
		notes[last] = notes[last][:len(notes[last])-1]
	}
	return slices.ContainsFunc(notes, func(level []string) bool { return slices.ContainsFunc(level, s.onComment) }) == s.matchEncrypts
}
