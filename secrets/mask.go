package secrets

import (
	"encoding/base64"
	"strings"
)

const (
	masked = "***"
	window = 12 // bytes of a secret that give away too much of it
)

// Mask takes secrets, in base64 too, out of a text that a person or a log is
// shown, and of a long one every piece that is there.
func Mask(text string, secrets []string) string {
	hide := make([]bool, len(text))
	for _, secret := range secrets {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			conceal(text, form, hide)
		}
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !hide[i]:
			out.WriteByte(text[i])
		case i == 0 || !hide[i-1]:
			out.WriteString(masked)
		}
	}
	return out.String()
}

// conceal notes which bytes of text are a secret, or a piece of one.
func conceal(text, secret string, hide []bool) {
	n := min(len(secret), window)
	for at := 0; n > 0 && at+n <= len(text); at++ {
		if !strings.Contains(secret, text[at:at+n]) {
			continue
		}
		for i := range n {
			hide[at+i] = true
		}
	}
}
