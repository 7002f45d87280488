package gitsource

import (
	"errors"
	"fmt"
	"hash"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/pjbgf/sha1cd"
)

// errCollision reports bytes that somebody made so that others have their SHA-1.
// It is no damage: fetched again, they would be the same.
var errCollision = errors.New("its bytes are made for a SHA-1 collision")

// checkNamed compares what was written to sum, a hash of go-git's, with a name.
// go-git itself never asks whether a collision was seen.
func checkNamed(h plumbing.Hash, sum hash.Hash) error {
	careful, ok := sum.(sha1cd.CollisionResistantHash)
	if !ok {
		return errors.New("read object: its hash does not see collisions")
	}
	name, collided := careful.CollisionResistantSum(nil)
	switch {
	case collided:
		return fmt.Errorf("read object %s: %w", h, errCollision)
	case plumbing.Hash(name) != h:
		return damage(h, errors.New("its bytes have another name"))
	}
	return nil
}
