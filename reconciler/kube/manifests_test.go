package kube

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// pod is what workloads make, with the parts of it that the API server writes otherwise than people do.
const pod = `{metadata: {labels: {app: x}}, spec: {serviceAccount: default, restartPolicy: RESTART, containers: [{name: app, image: "holdfast.dev/app:1",
  ports: [{containerPort: 53, protocol: TCP, name: a}, {containerPort: 53, protocol: UDP, name: b}], env: [{name: B, value: "2"}, {name: A, value: "1"}],
  resources: {limits: {cpu: "0.5", memory: 1024Mi}}, securityContext: {runAsUser: 1000}, volumeMounts: [{name: v, mountPath: /v}]}],
  volumes: [{name: v, configMap: {name: c, defaultMode: 0644}}]}}`

// manifests is what people write, each with what is peculiar about it.
func manifests() map[string]string {
	always := func(doc string) string {
		return strings.ReplaceAll(doc, "POD", strings.ReplaceAll(pod, "RESTART", "Always"))
	}
	jobs := func(doc string) string {
		return strings.ReplaceAll(doc, "POD", strings.ReplaceAll(pod, "RESTART", "OnFailure"))
	}
	return map[string]string{
		"a Deployment with quantities":              always(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: NS}, spec: {selector: {matchLabels: {app: x}}, template: POD}}`),
		"a DaemonSet":                               always(`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: x, namespace: NS}, spec: {selector: {matchLabels: {app: x}}, template: POD}}`),
		"a StatefulSet with claims":                 always(`{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x, namespace: NS, creationTimestamp: null}, spec: {serviceName: x, selector: {matchLabels: {app: x}}, template: POD, volumeClaimTemplates: [{metadata: {name: v, creationTimestamp: null}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}}]}, status: {replicas: 0}}`),
		"a Job":                                     jobs(`{apiVersion: batch/v1, kind: Job, metadata: {name: x, namespace: NS}, spec: {backoffLimit: 1, template: POD}}`),
		"a CronJob":                                 jobs(`{apiVersion: batch/v1, kind: CronJob, metadata: {name: x, namespace: NS}, spec: {schedule: "@hourly", jobTemplate: {spec: {template: POD}}}}`),
		"a Service with a port twice":               `{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {selector: {app: x}, ports: [{name: a, port: 53, protocol: TCP}, {name: b, port: 53, protocol: UDP, targetPort: dns}]}}`,
		"a headless Service":                        `{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {clusterIP: None, ports: [{port: 80}]}}`,
		"a Service of another name":                 `{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {type: ExternalName, externalName: example.com}}`,
		"a NodePort":                                `{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {type: NodePort, selector: {app: x}, ports: [{port: 80, targetPort: 8080}]}}`,
		"a Secret in plain text":                    `{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: NS}, type: Opaque, stringData: {a: "1"}, data: {b: Mg==}}`,
		"a Secret for TLS":                          `{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: NS}, type: kubernetes.io/tls, data: {tls.crt: "", tls.key: ""}}`,
		"an immutable ConfigMap":                    `{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: NS}, immutable: true, data: {a: ""}, binaryData: {b: AAE=}}`,
		"an Ingress":                                `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: x, namespace: NS}, spec: {tls: [{hosts: [a.example.com]}], defaultBackend: {service: {name: x, port: {name: web}}}}}`,
		"a NetworkPolicy that allows nothing":       `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x, namespace: NS}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 53}]}]}}`,
		"an autoscaler of the first version":        `{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: x, namespace: NS}, spec: {maxReplicas: 3, targetCPUUtilizationPercentage: 70, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}}}`,
		"a PodDisruptionBudget":                     `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: x, namespace: NS}, spec: {maxUnavailable: 50%, selector: {}}}`,
		"a Role and its binding":                    `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: x, namespace: NS}, rules: [{apiGroups: [""], resources: [pods], verbs: [get]}, {apiGroups: [""], resources: [pods], verbs: [get]}]}`,
		"a binding":                                 `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: x, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: x}, subjects: [{kind: ServiceAccount, name: default, namespace: NS}]}`,
		"a ClusterRole of others":                   `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: NS}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}, rules: []}`,
		"a ServiceAccount with secrets for pulling": `{apiVersion: v1, kind: ServiceAccount, metadata: {name: x, namespace: NS}, imagePullSecrets: [{name: a}], automountServiceAccountToken: false}`,
		"a claim":                                   `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x, namespace: NS}, spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Gi}}}}`,
		"a volume":                                  `{apiVersion: v1, kind: PersistentVolume, metadata: {name: NS}, spec: {capacity: {storage: 1024Mi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}}}`,
		"a StorageClass":                            `{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: NS}, provisioner: example.com/x, volumeBindingMode: WaitForFirstConsumer}`,
		"a PriorityClass":                           `{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: NS}, value: 1000}`,
		"a ResourceQuota":                           `{apiVersion: v1, kind: ResourceQuota, metadata: {name: x, namespace: NS}, spec: {hard: {pods: 100, requests.cpu: 4000m}}}`,
		"limits":                                    `{apiVersion: v1, kind: LimitRange, metadata: {name: x, namespace: NS}, spec: {limits: [{type: Container, default: {cpu: "0.10"}}]}}`,
		"a policy of admission":                     `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: NS}, spec: {matchConstraints: {resourceRules: [{apiGroups: [none.example.com], apiVersions: [v1], operations: [CREATE], resources: ["*"]}]}, validations: [{expression: "true"}]}}`,
		"endpoints by hand":                         `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x, namespace: NS, labels: {kubernetes.io/service-name: x}}, addressType: IPv4, endpoints: [{addresses: [192.0.2.1]}], ports: [{port: 80, name: ""}]}`,
		"annotations of kubectl and a status by accident": `{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: NS, uid: none, resourceVersion: "1", annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}}, data: {"a.b": "1"}}`,
	}
}

// TestManifests applies what people write. Whatever the API server makes of it,
// the next apply changes nothing, and nothing has drifted.
func TestManifests(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t)
	for name, doc := range manifests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, server)
			l := s.layer(t, "l", doc)
			require.Len(t, s.mustApply(t, l), 1)
			another, err := Connect(server.kubeconfig, nil)
			require.NoError(t, err)
			for _, c := range []*Cluster{s.Cluster, another} {
				within(t, "the next apply changes nothing", func() bool { // within a second of our last write, what a claim's default changes looks like ours
					changes, err := c.Apply(t.Context(), s.site, l)
					return err == nil && len(changes) == 0
				})
			}
			found, err := s.Verify(t.Context(), s.site, []render.Layer{l})
			require.NoError(t, err)
			require.Empty(t, found)
			items, err := decode(l)
			require.NoError(t, err)
			changes, err := s.Delete(t.Context(), s.site, []reconciler.Object{items[0].object})
			require.NoError(t, err)
			require.Len(t, changes, 1)
			require.NotEqual(t, reconciler.LeftAlone, changes[0].Action)
		})
	}
	s := newStand(t, server)
	for name, refused := range map[string]struct{ doc, why string }{
		"generateName":           {`{apiVersion: v1, kind: ConfigMap, metadata: {generateName: x-, namespace: NS}}`, "metadata.name must be a non-empty string"},
		"a list":                 {`{apiVersion: v1, kind: List, metadata: {name: x}, items: []}`, "a list must be split"},
		"a name that is a truth": {`{apiVersion: v1, kind: ConfigMap, metadata: {name: yes, namespace: NS}}`, "metadata.name must be a non-empty string, not true"},
		"a variable twice":       {strings.ReplaceAll(deployment("x"), "image:", "env: [{name: A}, {name: A}], image:"), `duplicate entries for key [name="A"]`},
	} {
		_, err := s.Apply(t.Context(), s.site, s.layer(t, "l", refused.doc))
		require.ErrorContains(t, err, refused.why, name)
	}
}

// testImmutableManifests changes what cannot be changed: that is named, and made anew only on demand.
func testImmutableManifests(t *testing.T, s *stand) {
	for name, change := range map[string][2]string{
		"a Service":       {`{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {ports: [{port: 80}]}}`, `{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {clusterIP: None, ports: [{port: 80}]}}`},
		"a selector":      {strings.ReplaceAll(deployment("x"), "app: x", "app: v"), strings.ReplaceAll(deployment("x"), "app: x", "app: w")},
		"a RoleBinding":   {`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: x, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: x}}`, `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: x, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: other}}`},
		"a StorageClass":  {`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: NS}, provisioner: example.com/x}`, `{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: NS}, provisioner: example.com/y}`},
		"a ConfigMap":     {`{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: NS}, immutable: true, data: {a: "1"}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: NS}, immutable: true, data: {a: "2"}}`},
		"a claim":         {`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x, namespace: NS}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`, `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x, namespace: NS}, spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}}`},
		"a PriorityClass": {`{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: NS}, value: 1}`, `{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: NS}, value: 2}`},
		"a Secret's type": {`{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: NS}, type: Opaque}`, `{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: NS}, type: example.com/x}`},
		"a StatefulSet":   {`{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x, namespace: NS}, spec: {serviceName: x, ` + fromSelector(deployment("x")), `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x, namespace: NS}, spec: {serviceName: other, ` + fromSelector(deployment("x"))},
	} {
		s.mustApply(t, s.layer(t, "l", change[0]))
		next := s.layer(t, "l", change[1])
		_, err := s.Apply(t.Context(), s.site, next)
		var immutable *reconciler.ImmutableError
		require.ErrorAs(t, err, &immutable, name)
		s.mustApply(t, s.layer(t, "l", change[0])) // it is as it was
		if name == "a claim" {
			continue // its finalizer needs a controller
		}
		changes, err := s.Recreate(t.Context(), s.site, next, immutable.Names())
		require.NoError(t, err, name)
		require.Len(t, changes, 1)
		require.Equal(t, reconciler.Recreated, changes[0].Action)
	}
}

// fromSelector is the rest of a spec that begins with its selector.
func fromSelector(spec string) string {
	_, rest, _ := strings.Cut(spec, "selector")
	return "selector" + rest
}
