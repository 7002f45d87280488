package review

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/trust"
)

// trust checks that the keys and rules of trust/ load, and that the rules can be
// met with those keys: a host refuses a commit that says otherwise. Without keys
// there, hosts use their anchor's, which nobody knows here.
func (l *linter) trust() {
	entries, err := fs.ReadDir(l.state.FS, "trust")
	if err != nil {
		return
	}
	files := map[string][]byte{}
	var policy *trust.Policy
	for _, e := range entries {
		name := path.Join("trust", e.Name())
		if e.Name() != "policy.yaml" && e.Name() != "allowed_signers" && !strings.HasSuffix(e.Name(), ".asc") {
			continue
		}
		data, err := fleet.ReadFile(l.state.FS, name, maxTrustFile)
		if err == nil && e.Name() == "policy.yaml" {
			policy, err = trust.ParsePolicy(name, data)
		} else if err == nil {
			files[name] = data
		}
		l.untrusted(name, err)
	}
	keys, err := trust.ParseKeyring(files)
	l.untrusted("trust", err)
	if err == nil && policy != nil && keys.Len() > 0 {
		l.untrusted("trust/policy.yaml", policy.Satisfiable(keys, l.options.Now))
	}
}

const maxTrustFile = 4 << 20 // as hosts have it

// untrusted notes what is wrong with a file of trust/.
func (l *linter) untrusted(file string, err error) {
	if err == nil {
		return
	}
	found := fleet.Problem{File: file, Msg: err.Error(), Rule: fleet.RuleTrustPolicy}
	var own *fleet.Problem
	var p *trust.Problem
	switch {
	case errors.As(err, &p):
		found.File, found.Line, found.Msg, found.Tip = p.File, p.Line, p.Msg, p.Tip
	case errors.As(err, &own):
		found = *own
	}
	l.report(found)
}
