package kinds

// removal is what the Kubernetes deprecation guide says of a kind that is gone
// (https://kubernetes.io/docs/reference/using-api/deprecation-guide/).
type removal struct{ in, instead string }

func (r removal) tip() string {
	if r.instead == "" {
		return "nothing takes its place; see https://kubernetes.io/docs/reference/using-api/deprecation-guide/"
	}
	return "use " + r.instead + "; some fields have moved: see https://kubernetes.io/docs/reference/using-api/deprecation-guide/"
}

// removals lists the kinds that went before the oldest version whose schemas are
// part of the program.
func removals() map[string]removal {
	all := map[string]removal{}
	for _, gone := range []struct {
		in, apiVersion, instead string
		kinds                   []string
	}{
		{"1.16", "extensions/v1beta1", "apps/v1", []string{"DaemonSet", "Deployment", "ReplicaSet"}},
		{"1.16", "extensions/v1beta1", "networking.k8s.io/v1", []string{"NetworkPolicy"}},
		{"1.16", "extensions/v1beta1", "", []string{"PodSecurityPolicy"}},
		{"1.16", "apps/v1beta1", "apps/v1", []string{"Deployment", "StatefulSet"}},
		{"1.16", "apps/v1beta2", "apps/v1", []string{"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"}},
		{"1.22", "admissionregistration.k8s.io/v1beta1", "admissionregistration.k8s.io/v1", []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}},
		{"1.22", "apiextensions.k8s.io/v1beta1", "apiextensions.k8s.io/v1", []string{"CustomResourceDefinition"}},
		{"1.22", "apiregistration.k8s.io/v1beta1", "apiregistration.k8s.io/v1", []string{"APIService"}},
		{"1.22", "certificates.k8s.io/v1beta1", "certificates.k8s.io/v1", []string{"CertificateSigningRequest"}},
		{"1.22", "coordination.k8s.io/v1beta1", "coordination.k8s.io/v1", []string{"Lease"}},
		{"1.22", "extensions/v1beta1", "networking.k8s.io/v1", []string{"Ingress"}},
		{"1.22", "networking.k8s.io/v1beta1", "networking.k8s.io/v1", []string{"Ingress", "IngressClass"}},
		{"1.22", "rbac.authorization.k8s.io/v1beta1", "rbac.authorization.k8s.io/v1", []string{"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}},
		{"1.22", "scheduling.k8s.io/v1beta1", "scheduling.k8s.io/v1", []string{"PriorityClass"}},
		{"1.22", "storage.k8s.io/v1beta1", "storage.k8s.io/v1", []string{"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"}},
		{"1.25", "batch/v1beta1", "batch/v1", []string{"CronJob"}},
		{"1.25", "discovery.k8s.io/v1beta1", "discovery.k8s.io/v1", []string{"EndpointSlice"}},
		{"1.25", "events.k8s.io/v1beta1", "events.k8s.io/v1", []string{"Event"}},
		{"1.25", "autoscaling/v2beta1", "autoscaling/v2", []string{"HorizontalPodAutoscaler"}},
		{"1.25", "policy/v1beta1", "policy/v1", []string{"PodDisruptionBudget"}},
		{"1.25", "policy/v1beta1", "", []string{"PodSecurityPolicy"}},
		{"1.25", "node.k8s.io/v1beta1", "node.k8s.io/v1", []string{"RuntimeClass"}},
		{"1.26", "flowcontrol.apiserver.k8s.io/v1beta1", "flowcontrol.apiserver.k8s.io/v1", []string{"FlowSchema", "PriorityLevelConfiguration"}},
		{"1.26", "autoscaling/v2beta2", "autoscaling/v2", []string{"HorizontalPodAutoscaler"}},
		{"1.27", "storage.k8s.io/v1beta1", "storage.k8s.io/v1", []string{"CSIStorageCapacity"}},
		{"1.29", "flowcontrol.apiserver.k8s.io/v1beta2", "flowcontrol.apiserver.k8s.io/v1", []string{"FlowSchema", "PriorityLevelConfiguration"}},
		{"1.32", "flowcontrol.apiserver.k8s.io/v1beta3", "flowcontrol.apiserver.k8s.io/v1", []string{"FlowSchema", "PriorityLevelConfiguration"}},
	} {
		for _, kind := range gone.kinds {
			all[kindKey(gone.apiVersion, kind)] = removal{gone.in, gone.instead}
		}
	}
	return all
}
