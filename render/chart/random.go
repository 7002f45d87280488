package chart

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/template"
)

// RandomAnnotation of a kustomization, set to "derived", lets its charts call the
// functions that are [derivable].
const RandomAnnotation = "holdfast.dev/chart-random"

// derivable are functions of chance that can be given what follows from the tree:
// the same at headquarters and on all hosts, and known to whoever reads the tree.
const derivable = "randAlpha randAlphaNum randAscii randNumeric randBytes randInt shuffle uuidv4"

const (
	letters   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits    = "0123456789"
	printable = " !\"#$%&'()*+,-./" + digits + ":;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
)

// dice stand in for chance: what each call gets follows from the release, the
// files of its chart, and how many calls there were before.
type dice struct {
	seed  [sha256.Size]byte
	calls uint64
}

func newDice(r Release) *dice {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", r.Namespace, r.Name)
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(r.Files[name]))
	}
	return &dice{seed: [sha256.Size]byte(h.Sum(nil))}
}

// bytes are those of one more call.
func (d *dice) bytes(n int) ([]byte, error) {
	if n < 0 || n > maxOutput {
		return nil, fmt.Errorf("%d is no length", n)
	}
	d.calls++
	out := make([]byte, 0, n+sha256.Size)
	for block := uint64(0); len(out) < n; block++ {
		text := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(d.seed[:], d.calls), block)
		sum := sha256.Sum256(text)
		out = append(out, sum[:]...)
	}
	return out[:n], nil
}

// number is one of 0 to n-1.
func (d *dice) number(n int) (int, error) {
	if n <= 0 {
		return 0, errors.New("there is nothing to choose from")
	}
	b, err := d.bytes(8)
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint64(b) % uint64(n)), nil
}

// text is made of n of the characters in from.
func (d *dice) text(n int, from string) (string, error) {
	b, err := d.bytes(n)
	for i := range b {
		b[i] = from[int(b[i])%len(from)]
	}
	return string(b), err
}

// functions are the [derivable] ones, as sprig declares them.
func (d *dice) functions(f *functions) template.FuncMap {
	of := func(from string) func(int) (string, error) {
		return func(n int) (string, error) { return d.text(n, from) }
	}
	return template.FuncMap{
		"randAlpha": of(letters), "randAlphaNum": of(letters + digits), "randAscii": of(printable), "randNumeric": of(digits),
		"randBytes": func(n int) (string, error) {
			b, err := d.bytes(n)
			return base64.StdEncoding.EncodeToString(b), err
		},
		"randInt": func(low, high int) (int, error) {
			n, err := d.number(high - low)
			return low + n, err
		},
		"shuffle": func(text string) (string, error) {
			if late(text) {
				return "", f.unseen("shuffle", text)
			}
			return d.shuffle(text)
		},
		"uuidv4": func() (string, error) {
			b, err := d.bytes(16)
			if err != nil {
				return "", err
			}
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
		},
	}
}

func (d *dice) shuffle(text string) (string, error) {
	runes := []rune(text)
	for i := len(runes) - 1; i > 0; i-- {
		j, err := d.number(i + 1)
		if err != nil {
			return "", err
		}
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes), nil
}
