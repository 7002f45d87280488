package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxLine bounds a line of an allowed_signers file, in bytes.
const maxLine = 64 << 10

// addAllowedSigners reads the format of the section ALLOWED SIGNERS of
// ssh-keygen(1). Times without a Z are UTC here, not local: hosts of one fleet
// must agree.
func (k *Keyring) addAllowedSigners(file string, data []byte) error {
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.Trim(line, " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		if len(line) > maxLine {
			return &Problem{File: file, Line: i + 1, Msg: fmt.Sprintf("line is longer than %d bytes", maxLine)}
		}
		key, err := parseAllowedSigner(line)
		if err != nil {
			return &Problem{File: file, Line: i + 1, Msg: err.Error(), Tip: signerTip}
		}
		if len(k.ssh) >= maxKeys {
			return &Problem{File: file, Line: i + 1, Msg: fmt.Sprintf("more than %d keys", maxKeys)}
		}
		k.ssh = append(k.ssh, key)
	}
	return nil
}

const signerTip = `write: alice@example.com namespaces="git" ssh-ed25519 AAAA…`

func parseAllowedSigner(line string) (sshKey, error) {
	principals, rest, err := cutWord(line)
	if err != nil {
		return sshKey{}, err
	}
	if rest == "" {
		return sshKey{}, errors.New("a principal without a key")
	}
	key := sshKey{}
	for _, p := range strings.Split(principals, ",") {
		switch {
		case p == "":
			return sshKey{}, errors.New("an empty principal")
		case key.name == "" && !strings.ContainsAny(p, "*?!"):
			key.name = p
		}
	}
	if key.name == "" {
		key.name = principals
	}
	word, blob := cutField(rest)
	if !isKeyType(word) {
		options, after, err := cutOptions(rest)
		if err != nil {
			return sshKey{}, err
		}
		if err := key.setOptions(options); err != nil {
			return sshKey{}, err
		}
		word, blob = cutField(after)
	}
	key.key, err = parsePublicKey(word, blob)
	return key, err
}

// parsePublicKey reads a key type and base64; what follows is a comment.
func parsePublicKey(keyType, rest string) (ssh.PublicKey, error) {
	if !isKeyType(keyType) {
		return nil, fmt.Errorf("expected a key type such as ssh-ed25519, found %q", clip(keyType))
	}
	text, _ := cutField(rest)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s key is not base64", keyType)
	}
	key, err := ssh.ParsePublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s key: %w", keyType, err)
	}
	if key.Type() != keyType {
		return nil, fmt.Errorf("the line says %s, the key is %s", keyType, key.Type())
	}
	if _, isCert := key.(*ssh.Certificate); isCert {
		return nil, errors.New("certificates are not supported, only plain keys")
	}
	return key, nil
}

func isKeyType(s string) bool {
	return strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-") || strings.HasPrefix(s, "sk-")
}

func (k *sshKey) setOptions(options []string) error {
	seen := make(map[string]bool)
	for _, option := range options {
		name, quoted, hasValue := strings.Cut(option, "=")
		name = strings.ToLower(name)
		if seen[name] {
			return fmt.Errorf("option %s is given twice", name)
		}
		seen[name] = true
		if name == "cert-authority" {
			return errors.New("cert-authority is not supported: list the keys themselves")
		}
		if name != "namespaces" && name != "valid-after" && name != "valid-before" {
			return fmt.Errorf("unknown option %s", clip(name))
		}
		value, err := unquote(quoted)
		if !hasValue || err != nil {
			return fmt.Errorf("option %s needs a value in double quotes", clip(name))
		}
		switch name {
		case "namespaces":
			k.namespaces = strings.Split(value, ",")
		case "valid-after":
			k.after, err = parseTime(value)
		case "valid-before":
			k.before, err = parseTime(value)
		}
		if err != nil {
			return err
		}
	}
	if !k.after.IsZero() && !k.before.IsZero() && !k.after.Before(k.before) {
		return errors.New("valid-after is not before valid-before")
	}
	return nil
}

// parseTime reads YYYYMMDD or YYYYMMDDHHMM[SS], each with an optional Z.
func parseTime(s string) (time.Time, error) {
	digits := strings.TrimSuffix(s, "Z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) == len(layout) {
			if t, err := time.Parse(layout, digits); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not YYYYMMDD or YYYYMMDDHHMM[SS], with an optional Z", clip(s))
}

// cutWord returns a first word that may be in double quotes, and what follows it.
func cutWord(s string) (word, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		word, rest = cutField(s)
		return word, rest, nil
	}
	word, rest, ok := strings.Cut(s[1:], `"`)
	if !ok {
		return "", "", errors.New("a quote is not closed")
	}
	return word, strings.TrimLeft(rest, " \t"), nil
}

func cutField(s string) (field, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// cutOptions splits comma-separated options, in whose quotes commas and spaces
// stand for themselves, from what follows the first space outside of quotes.
func cutOptions(s string) (options []string, rest string, err error) {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',':
			options = append(options, s[start:i])
			start = i + 1
		case c == ' ' || c == '\t':
			return append(options, s[start:i]), strings.TrimLeft(s[i:], " \t"), nil
		}
	}
	if quoted {
		return nil, "", errors.New("a quote is not closed")
	}
	return nil, "", fmt.Errorf("no key after %q", clip(s))
}

func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", errors.New("not in double quotes")
	}
	return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`), nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
