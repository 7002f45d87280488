package chart

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	helm "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

// values is all that templates see. It drops the subcharts that the values turn off.
func (r Release) values(c *helm.Chart) (common.Values, error) {
	given := map[string]any{}
	for _, data := range r.Values {
		more, err := loader.LoadValues(bytes.NewReader(data))
		if err != nil {
			return nil, r.problem("values are a mapping", "values: %s", oneLine(err))
		}
		given = loader.MergeMaps(given, more)
	}
	if at := lateSwitch(c, given, ""); at != "" {
		return nil, r.problem(lateTip, "whether a subchart is there is decided by %s, and what that will be is not known yet", at)
	}
	if err := chartutil.ProcessDependencies(c, given); err != nil {
		return nil, r.chartProblem("mend the chart's dependencies", "its dependencies: %s", oneLine(err))
	}
	inOrder(c)
	capabilities, err := r.capabilities(c)
	if err != nil {
		return nil, err
	}
	if ref := remoteSchema(c); ref != "" {
		return nil, r.chartProblem("copy what it refers to into the schema's $defs", "a values.schema.json refers to %s, which is not in it", ref)
	}
	release := common.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, given, release, capabilities)
	if err != nil {
		_, text, found := strings.Cut(oneLine(err), "in the following chart(s): ")
		if !found {
			return nil, r.problem("mend the values", "values: %s", text)
		}
		tip := "mend the values, or the schema"
		if bytes.Contains(bytes.Join(r.Values, nil), []byte("${")) {
			tip = lateTip
		}
		return nil, r.problem(tip, "values do not fit values.schema.json: %s", text)
	}
	return all, nil
}

// lateSwitch finds a value that turns subcharts of c, which is at the path, on or
// off, and stands for something: helm would pass over it.
func lateSwitch(c *helm.Chart, given common.Values, at string) string {
	all, err := util.CoalesceValues(c, given)
	if err != nil {
		return "" // said by helm
	}
	tags, _ := all.Table("tags")
	for _, d := range c.Metadata.Dependencies {
		for _, tag := range d.Tags {
			if text, ok := tags[tag].(string); ok && late(text) {
				return "tags." + tag
			}
		}
		for path := range strings.SplitSeq(d.Condition, ",") {
			if v, err := all.PathValue(strings.TrimSpace(path)); err == nil {
				if text, ok := v.(string); ok && late(text) {
					return at + strings.TrimSpace(path)
				}
			}
		}
		for _, sub := range c.Dependencies() {
			name := cmp.Or(d.Alias, d.Name)
			below, err := all.Table(name)
			if sub.Name() != d.Name || err != nil {
				continue
			}
			if found := lateSwitch(sub, below, at+name+"."); found != "" {
				return found
			}
		}
	}
	return ""
}

// capabilities tell the chart what the cluster can do. What differs between the
// programs that could build it is not among them.
func (r Release) capabilities(c *helm.Chart) (*common.Capabilities, error) {
	out := common.DefaultCapabilities.Copy()
	out.HelmVersion.GoVersion = ""
	out.APIVersions = append(slices.Sorted(slices.Values(out.APIVersions)), r.APIVersions...)
	if r.KubeVersion == "" {
		out.KubeVersion = common.KubeVersion{}
		if asks(c) {
			return nil, r.problem("say kubeVersion: v1.36.3, as the profile's distribution has it", "the chart %s asks for the version of Kubernetes", c.Name())
		}
		return out, nil
	}
	version, err := common.ParseKubeVersion(r.KubeVersion)
	if err != nil {
		return nil, r.problem("a version is like v1.36.3", "kubeVersion %s: %s", r.KubeVersion, oneLine(err))
	}
	out.KubeVersion = *version
	if wants := c.Metadata.KubeVersion; wants != "" && !chartutil.IsCompatibleRange(wants, version.String()) {
		return nil, r.problem("take a version of the chart for it", "the chart %s is for Kubernetes %s, and kubeVersion is %s", c.Name(), wants, r.KubeVersion)
	}
	return out, nil
}

// asks reports whether a chart may depend on the version of Kubernetes.
func asks(c *helm.Chart) bool {
	if c.Metadata.KubeVersion != "" {
		return true
	}
	for _, f := range c.Raw {
		if bytes.Contains(f.Data, []byte("Capabilities")) {
			return true
		}
	}
	return slices.ContainsFunc(c.Dependencies(), asks)
}

var knownSchema = regexp.MustCompile(`^https?://json-schema\.org/(draft-0[467]|draft/2019-09|draft/2020-12)/schema#?$`)

// remoteSchema returns what a schema would load from the disk or the network.
func remoteSchema(c *helm.Chart) string {
	var schema any
	if json.Unmarshal(c.Schema, &schema) == nil {
		if ref := remoteRef(schema); ref != "" {
			return ref
		}
	}
	for _, sub := range c.Dependencies() {
		if ref := remoteSchema(sub); ref != "" {
			return ref
		}
	}
	return ""
}

func remoteRef(v any) string {
	var below []any
	switch v := v.(type) {
	case []any:
		below = v
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			text, isText := v[key].(string)
			switch {
			case !isText:
				below = append(below, v[key])
			case key == "$schema" && !knownSchema.MatchString(text), strings.HasSuffix(key, "Ref") && key[0] == '$' && !strings.HasPrefix(text, "#"), key == "$ref" && !strings.HasPrefix(text, "#"):
				return text
			}
		}
	}
	for _, v := range below {
		if ref := remoteRef(v); ref != "" {
			return ref
		}
	}
	return ""
}
