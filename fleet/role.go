package fleet

// ControlPlane returns the site's active control-plane hosts, in declared order.
func (s *Site) ControlPlane() []*Host {
	var control []*Host
	for _, h := range s.Active() {
		if h.Role == ControlPlane {
			control = append(control, h)
		}
	}
	return control
}

// roles checks that the site's hosts can make a cluster.
func (l *loader) roles(s *Site) {
	active, control := s.Active(), s.ControlPlane()
	switch n := len(control); {
	case n == 0 && len(active) > 0:
		l.add(active[0].File, 0, "give it the role control-plane", "site %s has no control-plane host", s.Name).Rule = RuleControlPlaneCount
	case n == 2:
		l.add(control[1].File, 0, "have one or three; the others can be workers", "site %s has two control-plane hosts, which are less available than one", s.Name).Rule = RuleControlPlaneCount
	case n > 3:
		l.add(control[3].File, 0, "have one or three; the others can be workers", "site %s has %d control-plane hosts", s.Name, n).Rule = RuleControlPlaneCount
	case len(active) > 1:
		l.findable(s.Name, control)
	}
}

// findable checks that the hosts which the others of the site turn to say where they are.
func (l *loader) findable(site string, control []*Host) {
	for _, h := range control {
		if h.Network.Address == "" {
			l.add(h.File, 0, "add spec.network.address, an address that it keeps", "site %s has several hosts, and they must know where to find %s", site, h.Name).Rule = RuleHostAddress
		}
	}
}
