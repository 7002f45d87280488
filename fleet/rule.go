package fleet

// Rule names what a [Problem] breaks. The names never change, so that reports of
// two runs can be compared.
type Rule string

// The rules.
const (
	RuleYAMLSyntax           Rule = "yaml-syntax"
	RuleUnknownField         Rule = "unknown-field"
	RuleMissingField         Rule = "missing-field"
	RuleDuplicateField       Rule = "duplicate-field"
	RuleBadValue             Rule = "bad-value"
	RuleBadName              Rule = "bad-name"
	RuleMissingFile          Rule = "missing-file"
	RuleIrregularFile        Rule = "irregular-file"
	RuleTooLarge             Rule = "too-large"
	RuleNoSuchProfile        Rule = "no-such-profile"
	RuleNoSuchLayer          Rule = "no-such-layer"
	RuleLayerCycle           Rule = "layer-cycle"
	RuleBadPin               Rule = "bad-pin"
	RuleVariableType         Rule = "variable-type"
	RuleVariableMissing      Rule = "variable-missing"
	RuleVariableUndeclared   Rule = "variable-undeclared"
	RuleVariableSyntax       Rule = "variable-syntax"
	RuleVariableUnused       Rule = "variable-unused"
	RuleDuplicateName        Rule = "duplicate-name"
	RuleDuplicateIdentity    Rule = "duplicate-identity"
	RuleControlPlaneCount    Rule = "control-plane-count"
	RuleHostAddress          Rule = "host-address"
	RuleSeveralHosts         Rule = "several-hosts"
	RuleSourceFile           Rule = "source-file"
	RuleSourceCredentials    Rule = "source-credentials"
	RuleSecret               Rule = "secret"
	RuleReach                Rule = "reach"
	RuleKustomization        Rule = "kustomization"
	RuleChart                Rule = "chart"
	RuleBadObject            Rule = "bad-object"
	RuleDuplicateObject      Rule = "duplicate-object"
	RuleEmptyLayer           Rule = "empty-layer"
	RuleBadDistribution      Rule = "bad-distribution"
	RuleDistributionVersion  Rule = "distribution-version"
	RuleUnlockedDistribution Rule = "unlocked-distribution"
	RuleTrustPolicy          Rule = "trust-policy"
	RuleAdmissionPolicy      Rule = "admission-policy"
	RuleSchema               Rule = "schema"
	RuleSchemaVersion        Rule = "schema-version"
	RuleUnknownKind          Rule = "unknown-kind"
	RuleRemovedAPI           Rule = "removed-api"
	RuleUnlockedImage        Rule = "unlocked-image"
	RuleFloatingImage        Rule = "floating-image"
	RuleWebhookReach         Rule = "webhook-reach"
	RuleUnusedProfile        Rule = "unused-profile"
	RuleUnusedBase           Rule = "unused-base"
	RuleUnusedLock           Rule = "unused-lock"
	RuleUnreadableSecret     Rule = "unreadable-secret"
	RuleUnusedSecret         Rule = "unused-secret"
	RuleChartRandom          Rule = "chart-random"
)

// RuleText says what a rule asks for, and how grave it is to break it.
type RuleText struct {
	Rule    Rule
	Warning bool // hosts take it all the same
	Text    string
}

// Rules lists all rules, errors first.
func Rules() []RuleText {
	return []RuleText{
		{RuleYAMLSyntax, false, "files are YAML, nested and aliased within limits"},
		{RuleUnknownField, false, "objects of the fleet have known fields only"},
		{RuleMissingField, false, "objects of the fleet have the fields that they need"},
		{RuleDuplicateField, false, "nothing is given or declared twice in one file"},
		{RuleBadValue, false, "values are of the form that their field takes"},
		{RuleBadName, false, "names are DNS labels, and say what the path says"},
		{RuleMissingFile, false, "files that the fleet needs are there"},
		{RuleIrregularFile, false, "a fleet holds readable files and folders: no links, no submodules"},
		{RuleTooLarge, false, "files, folders and what kustomizations read stay within limits"},
		{RuleNoSuchProfile, false, "every site has a profile, and it is there"},
		{RuleNoSuchLayer, false, "layers that others depend on, or that sites change, are layers of the profile"},
		{RuleLayerCycle, false, "layers do not wait for each other"},
		{RuleBadPin, false, "a pinned profile loads from the commit that its signed tag names"},
		{RuleVariableType, false, "values of variables are of the declared type and form"},
		{RuleVariableMissing, false, "every variable that is used or required has a value"},
		{RuleVariableUndeclared, false, "variables are declared by the profile that they are for"},
		{RuleVariableSyntax, false, "${…} holds the name of a variable, and perhaps a default"},
		{RuleDuplicateName, false, "the names of sites are unique in the fleet"},
		{RuleDuplicateIdentity, false, "every host has an identity of its own"},
		{RuleControlPlaneCount, false, "a site has one or three control-plane hosts"},
		{RuleHostAddress, false, "hosts of a site have addresses of their own; of several, those of the control plane say theirs"},
		{RuleSeveralHosts, false, "the hosts of a site can be one cluster of its distribution"},
		{RuleSourceFile, false, "files that sources and targets of backups name are there, and in reach of all who read them"},
		{RuleSourceCredentials, false, "hosts can open the credentials of their sources, and of the targets of their backups"},
		{RuleUnreadableSecret, false, "hosts can open the SOPS documents that their layers hold"},
		{RuleSecret, false, "secrets of layers are SOPS documents that are put where secrets belong"},
		{RuleReach, false, "a kustomization reads its own profile, site and bases/ only, and nothing remote"},
		{RuleChart, false, "Helm charts are in the tree, render, and would render the same anywhere"},
		{RuleKustomization, false, "kustomizations build with stock kustomize, without plugins that run programs"},
		{RuleBadObject, false, "what is built are objects, with kind, apiVersion and name"},
		{RuleDuplicateObject, false, "an object is in one layer of a site, once"},
		{RuleEmptyLayer, false, "a layer has objects: an empty one deletes nothing"},
		{RuleBadDistribution, false, "a distribution kustomization makes exactly one Distribution"},
		{RuleDistributionVersion, false, "hosts know how to run the Kubernetes version of their distribution"},
		{RuleTrustPolicy, false, "keys and rules of trust/ load, and the rules can be met"},
		{RuleAdmissionPolicy, false, "policies/*.yaml are ValidatingAdmissionPolicies, their bindings and parameters"},
		{RuleSchema, false, "objects are as the schema of their kind has it"},
		{RuleRemovedAPI, false, "objects are of a version that the Kubernetes of their site serves"},
		{RuleVariableUnused, true, "variables that a profile declares are used"},
		{RuleSchemaVersion, true, "the schemas of the site's Kubernetes version are part of the program"},
		{RuleUnknownKind, true, "custom resources have their definition at the same site"},
		{RuleUnlockedDistribution, true, "content.lock has the digests of all that a distribution is made of"},
		{RuleUnlockedImage, true, "images have a digest, their own or in content.lock"},
		{RuleFloatingImage, true, "images have a tag other than latest, or a digest"},
		{RuleWebhookReach, true, "webhooks that must answer leave out what Holdfast keeps in " + SystemNamespace},
		{RuleUnusedProfile, true, "profiles are used by a site"},
		{RuleUnusedBase, true, "kustomizations in bases/ are used by a profile or a site"},
		{RuleUnusedLock, true, "what content.lock names is used by the profile"},
		{RuleUnusedSecret, true, "SOPS documents are used by a layer, a source or a backup"},
		{RuleChartRandom, true, "what charts make up is no secret: whoever reads the fleet can compute it"},
	}
}

// Warning tells whether hosts take what breaks the rule all the same.
func (r Rule) Warning() bool { return r.about().Warning }

// Text says what the rule asks for.
func (r Rule) Text() string { return r.about().Text }

func (r Rule) about() RuleText {
	for _, t := range Rules() {
		if t.Rule == r {
			return t
		}
	}
	return RuleText{}
}
