package kinds

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"

	jsonschema "github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/api/resource"
)

// formats are those that Kubernetes means by their names. Others are not checked.
func formats() []jsonschema.Format {
	return []jsonschema.Format{
		{Name: "int32", Validate: whole(math.MinInt32, math.MaxInt32)},
		{Name: "int64", Validate: whole(math.MinInt64, math.MaxInt64)},
		{Name: "byte", Validate: base64Text},
		{Name: "quantity", Validate: quantity},
		// JSON Schema means something else by these.
		{Name: "duration", Validate: whatever},
		{Name: "uri", Validate: whatever},
	}
}

var errRange = errors.New("out of range")

func whole(least, most int64) func(any) error {
	return func(v any) error {
		n, ok := v.(json.Number)
		if !ok {
			return nil // its type is checked elsewhere
		}
		if i, err := n.Int64(); err != nil || i < least || i > most {
			return errRange
		}
		return nil
	}
}

func whatever(any) error { return nil }

func base64Text(v any) error {
	if text, ok := v.(string); ok {
		_, err := base64.StdEncoding.DecodeString(text)
		return err
	}
	return nil
}

func quantity(v any) error {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	default:
		return nil
	}
	_, err := resource.ParseQuantity(text)
	return err
}

// formatTips say what a value of a format is like.
func formatTip(name string) string {
	return map[string]string{
		"int32":     "it is a whole number of 32 bits",
		"int64":     "it is a whole number of 64 bits",
		"byte":      "it is base64; plain text goes below stringData",
		"quantity":  "a quantity is like 500m, 2, 64Mi or 1G",
		"date-time": "a time is like 2026-01-31T12:00:00Z",
	}[name]
}
