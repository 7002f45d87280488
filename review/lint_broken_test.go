package review

import (
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const ageKey = "age1f7xwkjw0t5npfwmncv3rjk29nlvnjfcprath7tj6ue8jalhml5xswmj262"

const sops = "a: ENC[AES256_GCM,data:aa,iv:aa,tag:aa,type:str]\nsops:\n  encrypted_regex: ^(a|data)$\n  lastmodified: \"2026-01-01T00:00:00Z\"\n  mac: ENC[AES256_GCM,data:aa,iv:aa,tag:aa,type:str]\n" +
	"  version: 3.9.0\n  age:\n    - recipient: " + ageKey + "\n      enc: |\n        -----BEGIN AGE ENCRYPTED FILE-----\n        YQ==\n        -----END AGE ENCRYPTED FILE-----\n"

var sopsSecret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\ndata:\n  " + sops

// brokenFiles are fleets with one thing that is wrong with the fleet's own files.
func brokenFiles() []broken {
	const profile, lock = "profiles/shop/profile.yaml", "profiles/shop/content.lock"
	return []broken{
		{fleet.RuleYAMLSyntax, "", file(siteFile, fleetAPI+"Site\nspec: [\n"), siteFile + ":3", "not YAML", "look at indentation"},
		{fleet.RuleUnknownField, "", file(siteFile, fleetAPI+"Site\nspec:\n  profile: shop\n  vars: {}\n"), siteFile + ":5", "unknown field vars", "known fields"},
		{fleet.RuleMissingField, "", file("fleet.yaml", fleetAPI+"Fleet\n"), "fleet.yaml:1", "metadata", "add it"},
		{fleet.RuleDuplicateField, "", change(profile, "- name: web", "- name: web\n    - name: web"), profile + ":6", "layer web is declared twice", "line 5"},
		{fleet.RuleBadValue, "", change(profile, "- name: web", "- {name: web, timeout: soon}"), profile + ":5", "timeout is not a duration", "5m"},
		{fleet.RuleBadName, "", file(siteFile, fleetAPI+"Site\nmetadata:\n  name: two\nspec:\n  profile: shop\n"), siteFile + ":4", "the path says one", "same name"},
		{fleet.RuleMissingFile, "", file("fleet.yaml", ""), "fleet.yaml", "missing", "root"},
		{fleet.RuleIrregularFile, "", file(hostsOf+"b.txt", "x"), hostsOf + "b.txt", "not a host", ".yaml"},
		{fleet.RuleTooLarge, "", file(siteFile, fleetAPI+"Site\n# "+strings.Repeat("x", fleet.MaxFileSize)), siteFile, "larger", ""},
		{fleet.RuleNoSuchProfile, "", file(siteFile, fleetAPI+"Site\nspec:\n  profile: shp\n"), siteFile + ":4", "unknown profile shp", "shop"},
		{fleet.RuleNoSuchLayer, "", change(profile, "- name: web", "- {name: web, dependsOn: [db]}"), profile + ":5", "db, which is not a layer", "drop it"},
		{fleet.RuleLayerCycle, "", change(profile, "- name: web", "- {name: web, dependsOn: [web]}"), profile + ":5", "web -> web", "remove"},
		{fleet.RuleBadPin, "", file(siteFile, fleetAPI+"Site\nspec:\n  profile: {name: shop, tag: v1, commit: "+strings.Repeat("a", 40)+"}\n"), siteFile + ":4", "v1", ""},
		{fleet.RuleVariableType, "", file(siteFile, fleetAPI+"Site\nspec:\n  profile: shop\n  variables: {REPLICAS: many}\n"), siteFile + ":5", "variable REPLICAS: must be of type integer, not text", ""},
		{fleet.RuleVariableMissing, "", change(profile, "default: 1", "required: true"), siteFile, "variable REPLICAS is required", "spec.variables"},
		{fleet.RuleVariableUndeclared, "", file(siteFile, fleetAPI+"Site\nspec:\n  profile: shop\n  variables: {COLOUR: red}\n"), siteFile + ":5", "COLOUR is not declared", "it declares REPLICAS, TITLE"},
		{fleet.RuleVariableUndeclared, "where it is used", change(web+"web.yaml", "${TITLE}", "${TITLE}${COLOUR}"), web + "web.yaml:18", "COLOUR is not declared", "declare it"},
		{fleet.RuleVariableSyntax, "", change(web+"web.yaml", `"${TITLE}"`, `"${TITLE} ${NO-NAME}"`), web + "web.yaml:18", "${NO-NAME} is not a variable", "write $${"},
		{fleet.RuleDuplicateName, "", file("sites/group/one/site.yaml", sound()[siteFile]), siteFile, "", ""},
		{fleet.RuleDuplicateIdentity, "", and(file(hostsOf+"b.yaml", host(keyOfA, "  state: removed\n"))), hostsOf + "b.yaml:4", "", ""},
		{fleet.RuleControlPlaneCount, "", file(hostsOf+"a.yaml", host(keyOfA, "  role: worker\n")), hostsOf + "a.yaml", "no control-plane host", "role"},
		{fleet.RuleHostAddress, "", file(hostsOf+"b.yaml", host(keyOfB, "  role: worker\n")), hostsOf + "a.yaml", "where to find a", "spec.network.address"},
		{fleet.RuleSeveralHosts, "", and(file(hostsOf+"a.yaml", host(keyOfA, "  network: {address: 10.0.0.11}\n")), file(hostsOf+"b.yaml", host(keyOfB, "  role: worker\n"))), hostsOf + "b.yaml", "one host alone, not 2", "another type"},
		{fleet.RuleSourceFile, "", file(siteFile, sound()[siteFile]+"  sources: [{git: 'https://git.example.com/f.git', credentials: sites/git.yaml}]\n"), siteFile + ":5", "sites/git.yaml", ""},
		{fleet.RuleSourceCredentials, "", and(file("sites/git.yaml", sops), file(siteFile, sound()[siteFile]+"  sources: [{git: 'https://git.example.com/f.git', credentials: sites/git.yaml}]\n")),
			siteFile + ":5", "a cannot open sites/git.yaml", "holdfast secrets rotate sites/git.yaml"},
		{fleet.RuleSourceCredentials, "of backups", and(file("sites/s3.yaml", sops), file(siteFile, sound()[siteFile]+"  backup:\n    every: 6h\n    recipients: ["+ageKey+"]\n    to:\n    - s3: https://s3.example.com/b\n      credentials: sites/s3.yaml\n")),
			siteFile + ":9", "a cannot open sites/s3.yaml", "holdfast secrets rotate sites/s3.yaml"},
		{fleet.RuleBadValue, "a recipient that nobody has", file(siteFile, sound()[siteFile]+"  backup: {every: 6h, recipients: [age1qqqq]}\n"), siteFile + ":5", `"age1qqqq" is not a recipient of age`, "copy the public key"},
		{fleet.RuleUnusedSecret, "", file("bases/namespace/secret.yaml", sops), "bases/namespace/secret.yaml", "no layer, no source and no backup uses this secret", "put it to use in a kustomization"},
		{fleet.RuleUnusedSecret, "that nobody could open", file("bases/namespace/secret.yaml", strings.Replace(sops, "mac:", "cam:", 1)), "bases/namespace/secret.yaml", "no layer", "delete it"},
		{fleet.RuleTrustPolicy, "that does not load", file("trust/policy.yaml", fleetAPI+"TrustPolicy\nspec:\n  mode: never\n  groups: {all: [a@b]}\n  rules:\n    - {paths: ['**'], groups: [all]}\n"), "trust/policy.yaml:4", "never", "releases"},
		{fleet.RuleUnusedProfile, "", and(file("profiles/old/profile.yaml", fleetAPI+"Profile\nspec:\n  layers: []\n"), file("profiles/old/distribution/kustomization.yaml", "resources: []\n")),
			"profiles/old/profile.yaml", "no site runs profile old", "delete profiles/old"},
		{fleet.RuleUnusedBase, "", and(file("bases/old/kustomization.yaml", "resources: [o.yaml]\n")), "bases/old/kustomization.yaml", "uses bases/old", "delete"},
		{fleet.RuleUnusedLock, "of an image", change(lock, "  images:\n", "  images:\n    web:0.9.0: "+someSHA+"\n"), lock + ":7", "uses web:0.9.0", "holdfast lock"},
		{fleet.RuleUnusedLock, "of a distribution", change(lock, "    program:v1.36.3", "    program:v1.35.0: "+someSHA+"\n    program:v1.36.3"), lock + ":5", "uses program:v1.35.0", "holdfast lock"},
		{fleet.RuleVariableUnused, "", change(profile, "  variables:\n", "  variables:\n    - {name: OLD, type: string, default: x}\n"), profile + ":7", "uses variable OLD", "${OLD}"},
	}
}

// brokenObjects are fleets with one thing that is wrong with what they render to.
func brokenObjects() []broken {
	const base, policy = "bases/namespace/namespace.yaml", "policies/images.yaml"
	const custom = "apiVersion: shop.example.com/v1\nkind: Till\nmetadata: {name: till, namespace: shop}\n"
	const hook = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata:\n  name: all\nwebhooks:\n  # of a shop\n  - name: all.example.com\n" +
		"    admissionReviewVersions: [v1]\n    sideEffects: None\n    clientConfig: {url: 'https://hook.example.com'}\n    rules: [{operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*']}]\n"
	const vap = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata:\n  name: images\nspec:\n  validations:\n    - expression: 'true'\n"
	const binding = "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: images}\nspec:\n  policyName: images\n  validationActions: [Deny]\n"
	return []broken{
		{fleet.RuleReach, "", file(layerFile, "resources:\n  - ../../../../bases/namespace\n  - web.yaml\n  - ../../../../sites/one\n"), layerFile + ":4", "out of reach", "a profile reads"},
		{fleet.RuleKustomization, "", file(layerFile, sound()[layerFile]+"patches: [{patch: '{kind: Service, apiVersion: v1, metadata: {name: none}}'}]\n"), layerFile + ":4", "no object matches the patch for Service none", "give the patch"},
		{fleet.RuleBadObject, "", change(base, "  name: shop\n", "  labels: {a: b}\n"), base + ":1", "has no name", "metadata.name"},
		{fleet.RuleDuplicateObject, "", file(web+"web.yaml", webYAML+"---\n"+webYAML), web + "web.yaml:20", "Deployment shop/web is there twice", "keep one"},
		{fleet.RuleEmptyLayer, "", and(file("profiles/shop/addons/more/kustomization.yaml", "resources: []\n"), change("profiles/shop/profile.yaml", "- name: web", "- name: web\n    - name: more")),
			"profiles/shop/addons/more/kustomization.yaml", "has no objects", "remove the layer"},
		{fleet.RuleBadDistribution, "", change("profiles/shop/distribution/kustomization.yaml", "[distribution.yaml]", "[]"), "profiles/shop/distribution/kustomization.yaml", "0 objects", "exactly one"},
		{fleet.RuleSchema, "an unknown field of a base", change(base, "  name: shop\n", "  name: shop\nspec:\n  finalizer: [a]\n"), base + ":6", "Namespace shop: unknown field spec.finalizer (site one)", "did you mean finalizers?"},
		{fleet.RuleSchema, "a text where a number belongs", change(web+"web.yaml", "value: \"${TITLE}\"", "value: \"${TITLE}\"}\n          ports:\n            - {containerPort: \"80\""), web + "web.yaml:20", "spec.template.spec.containers[0].ports[0].containerPort is text", "without quotes"},
		{fleet.RuleSchema, "a value that a variable has", change(web+"web.yaml", "${REPLICAS}", "${REPLICAS}0000000000"), web + "web.yaml:7", "spec.replicas is text, not a whole number, written ${REPLICAS}0000000000", "without quotes"},
		{fleet.RuleSchema, "a field of a site's patch", and(file("sites/one/addons/web/kustomization.yaml", "resources: [../../../../profiles/shop/addons/web]\npatches:\n  - path: patch.yaml\n"),
			file("sites/one/addons/web/patch.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  revisionHistory: 3\n")), "sites/one/addons/web/patch.yaml:5", "unknown field spec.revisionHistory", ""},
		{fleet.RuleUnreadableSecret, "", and(file(web+"secret.yaml", sopsSecret), file(layerFile, sound()[layerFile]+"  - secret.yaml\n")),
			web + "secret.yaml", "a cannot open it, and layer web needs it", "holdfast secrets rotate " + web + "secret.yaml"},
		{fleet.RuleUnreadableSecret, "of a site", and(file("sites/one/addons/web/kustomization.yaml", "resources: [../../../../profiles/shop/addons/web, secret.yaml]\n"), file("sites/one/addons/web/secret.yaml", sopsSecret)),
			"sites/one/addons/web/secret.yaml", "a cannot open it", "secrets rotate sites/one/addons/web/secret.yaml"},
		{fleet.RuleSecret, "where anybody may read it", and(file(web+"map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: shop}\ndata:\n  "+strings.Replace(sops, ageKey, keyOfA, 1)), file(layerFile, sound()[layerFile]+"  - map.yaml\n")),
			layerFile, "ConfigMap shop/m: data would hold a secret", "encrypt the values of a Secret alone"},
		{fleet.RuleChartRandom, "", and(file(layerFile, "metadata:\n  annotations:\n    holdfast.dev/chart-random: derived\n"+sound()[layerFile]+"helmCharts: [{name: db, releaseName: db, namespace: shop}]\n"),
			file(web+"charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
			file(web+"charts/db/templates/id.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: id}\ndata: {id: '{{ uuidv4 }}'}\n")),
			layerFile + ":3", "whoever reads the fleet can compute", "secret of the fleet"},
		{fleet.RuleChart, "", file(layerFile, sound()[layerFile]+"helmCharts: [{name: db, releaseName: db, namespace: shop}]\n"), layerFile + ":4", "there is no chart in " + web + "charts/db", "Chart.yaml"},
		{fleet.RuleRemovedAPI, "", and(file(web+"cron.yaml", "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: c, namespace: shop}\n"), file(layerFile, sound()[layerFile]+"  - cron.yaml\n")),
			web + "cron.yaml:1", "CronJob shop/c: Kubernetes 1.36 has no CronJob of batch/v1beta1: it was removed in 1.25", "use batch/v1"},
		{fleet.RuleUnknownKind, "", and(file(web+"till.yaml", custom), file(layerFile, sound()[layerFile]+"  - till.yaml\n")), web + "till.yaml:2", "no CustomResourceDefinition of the site defines Till", "add the definition"},
		{fleet.RuleSchemaVersion, "", and(change("profiles/shop/distribution/distribution.yaml", "v1.36.3", "v1.31.0"), change("profiles/shop/content.lock", "program:v1.36.3", "program:v1.31.0")),
			"profiles/shop/distribution/distribution.yaml:7", "no schemas of Kubernetes v1.31.0: objects are checked with those of 1.33", "1.33 to 1.37"},
		{fleet.RuleDistributionVersion, "", and(change("profiles/shop/distribution/distribution.yaml", "v1.36.3", "v1.37.2"), change("profiles/shop/content.lock", "program:v1.36.3", "program:v1.37.2")),
			"profiles/shop/distribution/distribution.yaml:7", "no v1.37", "take v1.36"},
		{fleet.RuleUnlockedDistribution, "", change("profiles/shop/content.lock", "  distribution:\n    program:v1.36.3: "+someSHA+"\n", ""),
			"profiles/shop/profile.yaml", "content.lock has no digest of what the distribution is made of: program:v1.36.3", "holdfast lock shop"},
		{fleet.RuleUnlockedImage, "that the lock lacks", change(web+"web.yaml", "      containers:\n", "      containers:\n        - {name: side, image: side:1.0.0}\n"), web + "web.yaml:15", "image side:1.0.0 has no digest in profiles/shop/content.lock", "holdfast lock shop"},
		{fleet.RuleUnlockedImage, "of all", change("profiles/shop/content.lock", "  images:\n    web:1.0.0: "+someSHA+"\n", ""), "profiles/shop/profile.yaml", "has no digest of the profile's images: web:1.0.0", "holdfast lock shop"},
		{fleet.RuleFloatingImage, "", and(change("profiles/shop/content.lock", "web:1.0.0", "web:latest"), change(web+"web.yaml", "web:1.0.0", "web:latest")), web + "web.yaml:16", "image web:latest has no tag that stays", "web:1.2.3"},
		{fleet.RuleWebhookReach, "", and(file(web+"hook.yaml", hook), file(layerFile, sound()[layerFile]+"  - hook.yaml\n")), web + "hook.yaml:7", "webhook all.example.com decides about leases in holdfast-system", "namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [holdfast-system]}]}"},
		{fleet.RuleAdmissionPolicy, "that is none", file(policy, sound()[base]), policy + ":2", "it is no admission policy", "move others to a layer"},
		{fleet.RuleAdmissionPolicy, "with a typo", file(policy, vap+"      mesage: bad image\n"+binding), policy + ":8", "ValidatingAdmissionPolicy images: unknown field spec.validations[0].mesage", "did you mean message?"},
		{fleet.RuleAdmissionPolicy, "that is bound, but not there", file(policy, strings.Replace(vap, "name: images", "name: other", 1)+binding), policy + ":13", "no policy images", "name one"},
	}
}
