package fleet

// SystemNamespace holds what Holdfast keeps for itself in the cluster of a site.
const SystemNamespace = "holdfast-system"

// The owner labels that every applied object carries; what Holdfast keeps for itself
// has that of the site.
const (
	SiteLabel  = "holdfast.dev/site"
	LayerLabel = "holdfast.dev/layer"
)
