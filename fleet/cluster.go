package fleet

// What Holdfast has in each cluster.
const (
	SystemNamespace = "holdfast-system"   // holds what Holdfast keeps for itself
	SiteLabel       = "holdfast.dev/site" // names the owner, on all that is applied and on what is kept
)
