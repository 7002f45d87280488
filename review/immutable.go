package review

import (
	"slices"
	"strings"
)

// fixedFields are what the API server does not change on a live object, by group
// and kind: paths, and for each what is below it. From the pages of
// https://kubernetes.io/docs/concepts (workloads/controllers/deployment
// "Label selector updates", .../job "Mutable Scheduling Directives",
// services-networking/service "Choosing your own IP address",
// storage/persistent-volumes "Expanding", storage/storage-classes "StorageClass
// objects", configuration/configmap "Immutable ConfigMaps", security/rbac "roleRef")
// and k8s.io/kubernetes pkg/apis/*/validation, Validate*Update.
var fixedFields = map[string][]string{
	"apps/Deployment":                       {"spec.selector"},
	"apps/DaemonSet":                        {"spec.selector"},
	"apps/ReplicaSet":                       {"spec.selector"},
	"apps/StatefulSet":                      {"spec"},
	"batch/Job":                             {"spec.selector", "spec.template", "spec.completionMode", "spec.podFailurePolicy", "spec.successPolicy", "spec.backoffLimitPerIndex", "spec.managedBy"},
	"/Service":                              {"spec.clusterIP", "spec.clusterIPs"},
	"/PersistentVolumeClaim":                {"spec"},
	"/PersistentVolume":                     {"spec.volumeMode", "spec.csi", "spec.hostPath", "spec.local", "spec.nfs", "spec.iscsi", "spec.fc", "spec.nodeAffinity"},
	"/Pod":                                  {"spec"},
	"/Secret":                               {"type"},
	"/ResourceQuota":                        {"spec.scopes", "spec.scopeSelector"},
	"storage.k8s.io/StorageClass":           {"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"},
	"storage.k8s.io/CSIDriver":              {"spec.attachRequired", "spec.volumeLifecycleModes"},
	"rbac.authorization.k8s.io/RoleBinding": {"roleRef"},
	"rbac.authorization.k8s.io/ClusterRoleBinding":  {"roleRef"},
	"scheduling.k8s.io/PriorityClass":               {"value", "preemptionPolicy"},
	"networking.k8s.io/IngressClass":                {"spec.controller"},
	"node.k8s.io/RuntimeClass":                      {"handler"},
	"apiextensions.k8s.io/CustomResourceDefinition": {"spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"},
}

// freeFields are what may change below fixedFields.
var freeFields = map[string][]string{
	"apps/StatefulSet": {"spec.replicas", "spec.ordinals", "spec.template", "spec.updateStrategy", "spec.revisionHistoryLimit",
		"spec.persistentVolumeClaimRetentionPolicy", "spec.minReadySeconds"},
	"/PersistentVolumeClaim": {"spec.resources.requests", "spec.volumeAttributesClassName"},
	"/Pod":                   {"spec.containers[].image", "spec.initContainers[].image", "spec.activeDeadlineSeconds", "spec.tolerations", "spec.terminationGracePeriodSeconds"},
}

// markImmutable marks the fields that the API server will not change.
func markImmutable(groupKind string, old map[string]any, fields []Field) (any bool) {
	fixed := fixedFields[groupKind]
	if (groupKind == "/ConfigMap" || groupKind == "/Secret") && old["immutable"] == true {
		fixed = append(slices.Clone(fixed), "data", "binaryData", "stringData", "immutable")
	}
	for i := range fields {
		f := &fields[i]
		path := withoutKeys(f.Path)
		if !covers(fixed, path) || covers(freeFields[groupKind], path) {
			continue
		}
		if groupKind == "/Service" && (f.Old == nil || f.New == nil || string(f.Old) == `""` || string(f.New) == `""`) {
			continue // what is not asked for stays as the server chose it
		}
		f.Immutable, any = true, true
	}
	return any
}

func covers(paths []string, path string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		rest, ok := strings.CutPrefix(path, p)
		return ok && (rest == "" || strings.ContainsAny(rest[:1], ".[ "))
	})
}

// withoutKeys takes what an item is known by out of a path: containers[].image.
func withoutKeys(path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, "[")
		b.WriteString(before)
		if !found || strings.HasPrefix(rest, `"`) {
			b.WriteString(strings.TrimPrefix(path, before))
			return b.String()
		}
		_, path, _ = strings.Cut(rest, "]")
		b.WriteString("[]")
	}
}
