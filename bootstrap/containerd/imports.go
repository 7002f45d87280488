package containerd

import (
	"encoding/json"
	"maps"
	"os"

	"github.com/holdfast-fleet/holdfast/durable"
)

// imports is the path of a file that says what was imported, reference → digest.
type imports string

func (i imports) missing(images map[string]string) map[string]string {
	have, missing := i.read(), map[string]string{}
	for ref, digest := range images {
		if have[ref] != digest {
			missing[ref] = digest
		}
	}
	return missing
}

func (i imports) read() map[string]string {
	have := map[string]string{}
	data, err := os.ReadFile(string(i))
	if err != nil || json.Unmarshal(data, &have) != nil || have == nil {
		return map[string]string{}
	}
	return have
}

func (i imports) add(images map[string]string) error {
	have := i.read()
	maps.Copy(have, images)
	data, err := json.Marshal(have)
	if err != nil {
		return err
	}
	return durable.WriteFile(string(i), data, 0o600)
}
