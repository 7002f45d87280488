package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ReadJSON reads what WriteJSON wrote into v; found is false if there is no such file.
func ReadJSON(path string, v any) (found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return true, nil
}

// WriteJSON replaces path with v as JSON, for its owner alone, as [WriteFile] does.
func WriteJSON(path string, v any) error { return Disk{}.WriteJSON(path, v) }

// WriteJSON is [WriteJSON], on d.
func (d Disk) WriteJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.WriteFile(path, append(data, '\n'), 0o600)
}
