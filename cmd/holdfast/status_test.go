package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheReferenceOfTheStatusIsWhole holds docs/reference/status.md at what is written.
func TestTheReferenceOfTheStatusIsWhole(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reference/status.md")
	require.NoError(t, err)
	said := map[string]bool{}
	for _, name := range regexp.MustCompile("`([a-zA-Z]+)`").FindAllStringSubmatch(string(page), -1) {
		said[name[1]] = true
	}
	known := map[string]bool{}
	jsonNames(reflect.TypeFor[hostStatus](), known)
	require.Greater(t, len(known), 50)
	for name := range known {
		require.True(t, said[name], "the page says nothing of %s", name)
	}
	fields, _, _ := strings.Cut(string(page), "\nA *commit*")
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-zA-Z]+)`").FindAllStringSubmatch(fields, -1) {
		require.True(t, known[row[1]], "there is no field %s", row[1])
	}
}

// jsonNames collects the names of all fields as JSON has them.
func jsonNames(of reflect.Type, names map[string]bool) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		jsonNames(of.Elem(), names)
	case reflect.Struct:
		if of == reflect.TypeFor[time.Time]() {
			return
		}
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "-" || !field.IsExported() {
				continue
			}
			if name != "" {
				names[name] = true
			}
			jsonNames(field.Type, names)
		}
	}
}
