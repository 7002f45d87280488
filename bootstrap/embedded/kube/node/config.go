package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// nodeConfig is what a node runs. It is written by the driver of the embedded
// distribution, in JSON, and read at start and at SIGHUP.
type nodeConfig struct {
	Dir       string    `json:"dir"`              // log/ and run/ are below it
	Cgroup    string    `json:"cgroup,omitempty"` // of the node and its pods, below every hierarchy's root
	Network   *network  `json:"network,omitempty"`
	Processes []process `json:"processes"` // in the order they start

	digest string // of the file
}

// process is one program that the node keeps running.
type process struct {
	Name        string   `json:"name"`
	Args        []string `json:"args"` // Args[0] is the path of the program
	Env         []string `json:"env,omitempty"`
	Inputs      string   `json:"inputs,omitempty"` // digest of the files it reads: it restarts when they change
	Ready       *probe   `json:"ready,omitempty"`  // what starts after it waits for this
	StopSeconds int      `json:"stopSeconds"`      // from SIGTERM to SIGKILL
}

// network is the bridge of a node's pods.
type network struct {
	Bridge   string `json:"bridge"`
	Address  string `json:"address"`  // with its prefix length: 10.244.0.1/24
	Services string `json:"services"` // the network of services: 10.96.0.0/16
}

const maxConfig = 1 << 20

func readConfig(path string) (nodeConfig, error) {
	var cfg nodeConfig
	f, err := os.Open(path)
	if err != nil {
		return cfg, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return cfg, err
	}
	if len(data) > maxConfig {
		return cfg, fmt.Errorf("read %s: larger than %d bytes", path, maxConfig)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return cfg, fmt.Errorf("read %s: %w", path, err)
	}
	cfg.digest = fmt.Sprintf("%x", sha256.Sum256(data))
	if cfg.Dir == "" {
		return cfg, fmt.Errorf("read %s: dir is missing", path)
	}
	for _, p := range cfg.Processes {
		if p.Name == "" || len(p.Args) == 0 {
			return cfg, fmt.Errorf("read %s: a process needs a name and args", path)
		}
	}
	return cfg, nil
}
