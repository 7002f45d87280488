// Command kinds writes the schemas of a Kubernetes version to a folder, from the
// OpenAPI documents of its module: kinds VERSION... FOLDER.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: kinds VERSION... FOLDER, such as kinds v1.36.3 kinds/data")
		os.Exit(2)
	}
	last := len(os.Args) - 1
	for _, version := range os.Args[1:last] {
		if err := write(version, os.Args[last]); err != nil {
			fmt.Fprintf(os.Stderr, "kinds: %s: %s\n", version, err)
			os.Exit(1)
		}
	}
}

// document is what package kinds reads.
type document struct {
	Version string            `json:"version"`
	Kinds   map[string]string `json:"kinds"` // apps/v1/Deployment → name of its schema
	Defs    map[string]schema `json:"$defs"`
}

type schema map[string]any

func write(version, folder string) error {
	dir, err := download(version)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "api", "openapi-spec", "v3", "*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no OpenAPI documents in %s: %w", dir, err)
	}
	d := document{version, map[string]string{}, map[string]schema{}}
	all := map[string]schema{}
	for _, file := range files {
		if err := d.read(file, all); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, name := range d.Kinds {
		d.take(name, all)
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if _, err := zip.Write(text); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	minor := strings.TrimPrefix(version[:strings.LastIndexByte(version, '.')], "v")
	fmt.Printf("%s: %d kinds, %d schemas, %d KB, compressed %d KB\n", version, len(d.Kinds), len(d.Defs), len(text)>>10, out.Len()>>10)
	return os.WriteFile(filepath.Join(folder, minor+".json.gz"), out.Bytes(), 0o644)
}

func download(version string) (dir string, err error) {
	cmd := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+version)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	return module.Dir, json.Unmarshal(out, &module)
}

// read adds the schemas of a file to all, and their kinds: what has the metadata
// of an object.
func (d *document) read(file string, all map[string]schema) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var doc struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	for name, s := range doc.Components.Schemas {
		all[name] = s
		of, err := kindsOf(s)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, kind := range of {
			d.Kinds[kind] = name
		}
	}
	return nil
}

func kindsOf(s schema) ([]string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var object struct {
		Properties struct{ Metadata json.RawMessage }
		Kinds      []struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
	}
	if err := json.Unmarshal(text, &object); err != nil || !bytes.Contains(object.Properties.Metadata, []byte("meta.v1.ObjectMeta")) {
		return nil, err
	}
	var kinds []string
	for _, k := range object.Kinds {
		kinds = append(kinds, strings.TrimPrefix(k.Group+"/"+k.Version+"/"+k.Kind, "/"))
	}
	return kinds, nil
}

// take puts a schema into the document, and all that it refers to.
func (d *document) take(name string, all map[string]schema) {
	if _, done := d.Defs[name]; done {
		return
	}
	d.Defs[name] = nil
	s := reduced(all[name])
	if strings.HasSuffix(name, ".resource.Quantity") {
		s["format"] = "quantity"
	}
	d.Defs[name] = s
	d.follow(s, all)
}

func (d *document) follow(v any, all map[string]schema) {
	switch v := v.(type) {
	case schema:
		if ref, ok := v["$ref"].(string); ok {
			d.take(strings.TrimPrefix(ref, "#/$defs/"), all)
		}
		for _, item := range v {
			d.follow(item, all)
		}
	case map[string]schema:
		for _, item := range v {
			d.follow(item, all)
		}
	case []schema:
		for _, item := range v {
			d.follow(item, all)
		}
	}
}

// reduced is what a validator needs of a schema. Objects have the fields that
// are declared, and no others.
func reduced(s map[string]any) schema {
	out := schema{}
	for _, key := range []string{"type", "required", "format"} {
		if s[key] != nil {
			out[key] = s[key]
		}
	}
	if ref, ok := s["$ref"].(string); ok {
		out["$ref"] = "#/$defs/" + ref[strings.LastIndexByte(ref, '/')+1:]
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := s[key].(map[string]any); ok {
			out[key] = reduced(inner)
		}
	}
	for _, key := range []string{"allOf", "oneOf"} {
		var list []schema
		inner, _ := s[key].([]any)
		for _, item := range inner {
			list = append(list, reduced(item.(map[string]any)))
		}
		switch {
		case len(list) == 1:
			for k, v := range list[0] {
				out[k] = v
			}
		case len(list) > 1:
			out[key] = list
		}
	}
	if properties, ok := s["properties"].(map[string]any); ok {
		fields := map[string]schema{}
		for name, p := range properties {
			fields[name] = reduced(p.(map[string]any))
		}
		out["properties"] = fields
		if out["additionalProperties"] == nil {
			out["additionalProperties"] = false
		}
	}
	return out
}
