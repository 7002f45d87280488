package reconciler

import (
	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Peers are the other hosts of the site, which ask this one and are asked.
type Peers interface {
	bootstrap.Peers
	// Admit says who is answered: members but this host; none: nobody.
	Admit(own string, members []peers.Member) error
}

// admit has the hosts answered that the newest revision which loads lists, as soon
// as it has: one that is removed has no time left.
func (s *session) admitPeers(own string, members []peers.Member) {
	if s.Peers == nil {
		return
	}
	if err := s.Peers.Admit(own, members); err != nil {
		s.Log.Error("other hosts of the site are not answered", "error", err)
	}
}
