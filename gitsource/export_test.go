package gitsource

// KeepAtMost makes a mirror of more packs one that has grown.
func (r *Repository) KeepAtMost(packs int) { r.grown.packs = packs }
