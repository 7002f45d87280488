package review

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// SARIF writes a report as SARIF 2.1.0, which forges and editors show beside the
// lines. dir is the folder of the fleet in its repository, and version that of
// the program.
func (r *Report) SARIF(w io.Writer, dir, version string) error {
	driver := sarifDriver{Name: "holdfast", Version: version, InformationURI: "https://github.com/holdfast-fleet/holdfast"}
	index := map[fleet.Rule]int{}
	for i, rule := range fleet.Rules() {
		index[rule.Rule] = i
		driver.Rules = append(driver.Rules, sarifRule{string(rule.Rule), sarifText{rule.Text}, sarifConfig{level(rule.Rule.Warning())}})
	}
	run := sarifRun{Tool: sarifTool{driver}, Results: []sarifResult{}}
	for _, p := range r.Problems {
		result := sarifResult{RuleID: string(p.Rule), RuleIndex: index[p.Rule], Level: level(p.Severity == Warning), Message: sarifText{p.withHint()},
			Fingerprints: map[string]string{"holdfast/v1": p.fingerprint()}}
		at := sarifPlace{Artifact: sarifArtifact{uriOf(path.Join(dir, p.File)), "%SRCROOT%"}}
		if p.Line > 0 {
			at.Region = &sarifRegion{p.Line}
		}
		result.Locations = []sarifLocation{{at}}
		run.Results = append(run.Results, result)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func level(warning bool) string {
	if warning {
		return "warning"
	}
	return "error"
}

// withHint is all that there is to say, without the place.
func (p Problem) withHint() string {
	if p.Hint == "" {
		return p.Text()
	}
	return p.Text() + "\nhint: " + p.Hint
}

// fingerprint stays the same when lines move, and when other sites are affected.
func (p Problem) fingerprint() string {
	return fmt.Sprintf("%.16x", sha256.Sum256([]byte(string(p.Rule)+"\x00"+p.File+"\x00"+p.Message)))
}

func uriOf(file string) string { return (&url.URL{Path: file}).String() }

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string      `json:"id"`
		Text    sarifText   `json:"shortDescription"`
		Default sarifConfig `json:"defaultConfiguration"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Place sarifPlace `json:"physicalLocation"`
	}
	sarifPlace struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
)
