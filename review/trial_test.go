package review_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
	"github.com/holdfast-fleet/holdfast/review"
)

// serve tries what differs between two commits on real API servers.
func (e *example) serve(base, head string, limit int, anew ...fleet.Permit) review.Changes {
	e.t.Helper()
	c := e.diff(base, head)
	trial := review.Trial{
		Base: review.State{Name: "base", FS: e.tree(base)}, Head: review.State{Name: "head", FS: e.tree(head)}, Paths: e.changed(base, head), Limit: limit,
		Options: review.Options{Allow: fleet.Permits{Recreate: anew}},
		Start: func(context.Context) (review.Server, error) {
			cluster, err := kube.Connect(embeddedtest.StartTrial(e.t), nil)
			if err != nil {
				return nil, err
			}
			return kube.NewTrial(cluster, func() error { return nil }), nil
		},
	}
	require.NoError(e.t, trial.Run(e.t.Context(), &c))
	return c
}

func (e *example) changed(base, head string) []string {
	audit, err := gitsource.OpenAudit(e.repo.Dir, nil)
	require.NoError(e.t, err)
	paths, err := audit.Changed(base, head)
	require.NoError(e.t, err)
	return paths
}

// golden compares a text with what it was.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// layer adds a layer to the kiosk's profile, or writes it anew.
func (e *example) layer(name, objects string) {
	const profile = "profiles/kiosk/"
	e.repo.Write(profile+"addons/"+name+"/kustomization.yaml", "resources: [objects.yaml]\n")
	e.repo.Write(profile+"addons/"+name+"/objects.yaml", objects)
	data, err := os.ReadFile(filepath.Join(e.repo.Dir, profile+"profile.yaml"))
	require.NoError(e.t, err)
	if !bytes.Contains(data, []byte("- name: "+name+"\n")) {
		e.edit(profile+"profile.yaml", "  variables:", "    - name: "+name+"\n  variables:")
	}
}

const (
	kiosk = "profiles/kiosk/addons/page/"

	tools = `
apiVersion: batch/v1
kind: Job
metadata: {name: clean, namespace: kiosk}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: clean, image: "holdfast.dev/clean:1"}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: fixed, namespace: kiosk}
spec: {clusterIP: 10.96.0.77, ports: [{port: 80}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: kiosk}
spec: {hard: {pods: "20"}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: kiosk}
spec: {containers: [{name: bare, image: "holdfast.dev/bare:1"}]}
`
	lamps = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: Lamp, plural: lamps}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties: {watts: {type: integer}, colour: {type: string, default: white}}
              x-kubernetes-validations: [{rule: self.watts < 100, message: too bright}]
---
`
	lamp      = "apiVersion: example.com/v1\nkind: Lamp\nmetadata: {name: hall}\nspec: {watts: 60}\n"
	elsewhere = `
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: {name: chart, namespace: kiosk}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: strict}
webhooks:
  - name: strict.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig: {service: {name: strict, namespace: kiosk}}
    rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*"]}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.metrics.example.com}
spec: {group: metrics.example.com, version: v1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {name: metrics, namespace: kiosk}}
---
apiVersion: metrics.example.com/v1
kind: Gauge
metadata: {name: g}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: after, namespace: nowhere}
---
apiVersion: v1
kind: Endpoints
metadata: {name: fixed, namespace: kiosk}
`
	converted = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: motors.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: Motor, plural: motors}
  conversion:
    strategy: Webhook
    webhook: {conversionReviewVersions: [v1], clientConfig: {url: "https://192.0.2.1/convert"}}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
    - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
---
apiVersion: example.com/v2
kind: Motor
metadata: {name: m}
`
)

// TestARealAPIServerJudges changes a kiosk in each way that only an API server can judge.
func TestARealAPIServerJudges(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.layer("tools", tools)
	e.layer("lamps", lamps+lamp)
	e.layer("lost", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old, namespace: nowhere}\n")
	base := e.repo.Commit(gitsourcetest.Commit{})

	e.layer("tools", replace(tools, "clean:1", "clean:2", "10.96.0.77", "10.96.0.78", "bare:1", "bare:2"))
	e.layer("lamps", lamps+replace(lamp, "60", "600"))
	e.layer("bulbs", replace(lamp, "Lamp", "Bulb"))
	e.layer("late", replace(lamps, "lamps", "bulbs", "Lamp", "Bulb"))
	e.layer("elsewhere", elsewhere)
	e.layer("converted", converted)
	e.layer("images", "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: spy, namespace: kiosk}\nspec:\n  selector: {matchLabels: {a: b}}\n"+
		"  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: spy, image: \"docker.io/spy:1\"}]}}\n")
	e.edit(kiosk+"web.yaml", "- name: web\n", "- name: web\n          startupProbe: {httpGet: {path: /healthz, port: http}}\n")
	e.edit("bases/web/service.yaml", "port: 80\n", "port: 80\n      protocol: TCP\n")
	c := e.serve(base, e.repo.Commit(gitsourcetest.Commit{}), 1)

	var text, markdown, page bytes.Buffer
	require.NoError(t, c.Text(&text, false))
	golden(t, "server.text.golden", text.String())
	require.NoError(t, c.Markdown(&markdown))
	golden(t, "server.markdown.golden", markdown.String())
	require.NoError(t, c.HTML(&page))
	require.Contains(t, page.String(), "too bright")
}

// TestRenderingsDoNotMeet changes two kinds of sites that define the same kind
// otherwise: one server would refuse the second.
func TestRenderingsDoNotMeet(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.layer("lamps", lamps+lamp)
	e.repo.Write("profiles/web-shop/addons/crds/lamps.yaml", replace(lamps, "Cluster", "Namespaced", "---\n", ""))
	e.edit("profiles/web-shop/addons/crds/kustomization.yaml", "resources:", "resources:\n  - lamps.yaml")
	c := e.serve(e.base, e.repo.Commit(gitsourcetest.Commit{}), 2)
	require.Equal(t, 2, c.Server.Tried)
	require.Zero(t, c.Server.Refusals(), c.Server.Findings)
}

// TestAPolicyIsTriedOnWhatStays adds one that no site satisfies.
func TestAPolicyIsTriedOnWhatStays(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.edit("policies/images.yaml", `startsWith("holdfast.dev/"))
      m`, `startsWith("example.com/"))
      m`)
	c := e.serve(e.base, e.repo.Commit(gitsourcetest.Commit{}), 1)
	require.True(t, c.Empty())
	require.Equal(t, 3, c.Server.Renderings)
	require.Len(t, c.Server.Untried, 2)
	require.Equal(t, 1, c.Server.Refusals())
	f := c.Server.Findings[0]
	require.Equal(t, review.Refused, f.Kind)
	require.Contains(t, f.Message, "ValidatingAdmissionPolicy 'images'")
	require.Equal(t, "mend the object, or the policy at policies/images.yaml:3", f.Hint)

	e.repo.Git("rm", "-q", "policies/images.yaml")
	c = e.serve("HEAD", e.repo.Commit(gitsourcetest.Commit{}), 1)
	require.Empty(t, c.Server.Findings, "a policy that goes does not judge any more")
}

func replace(text string, pairs ...string) string {
	for n := 0; n < len(pairs); n += 2 {
		text = string(bytes.ReplaceAll([]byte(text), []byte(pairs[n]), []byte(pairs[n+1])))
	}
	return text
}
