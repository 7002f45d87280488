package reconciler

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/selfupdate"
)

// own makes sure, before anything else of a revision is read, that the agent is
// the one that it names. False ends the session, for another to take over; one that
// cannot be had keeps nobody from going on, and is asked for again whenever the
// revision is worked on.
func (s *session) own(rev gitsource.Revision) bool {
	s.rec.enter(PhaseAgent)
	err := s.want(rev)
	if errors.Is(err, selfupdate.ErrRestart) {
		s.end(err)
		return false
	}
	s.rec.finish(PhaseAgent, err)
	s.lacking = err != nil
	return true
}

func (s *session) want(rev gitsource.Revision) error {
	if s.Program == nil {
		return nil
	}
	a, err := fleet.ReadAgent(rev.FS())
	if a == nil || err != nil {
		return err
	}
	digest := a.Digests[runtime.GOARCH]
	if digest == "" {
		return &fleet.Problem{File: "agent.yaml", Msg: "names no agent for " + runtime.GOARCH, Tip: "add its digest under spec.digests"}
	}
	err = s.Program.Want(selfupdate.Program{Version: a.Version, Digest: digest}, rev.Commit())
	if errors.Is(err, selfupdate.ErrRestart) {
		s.Log.Info("agent switches", "revision", rev.Short(), "from", s.Version, "to", a.Version)
	}
	return err
}

// proven tells the program's trial whether it could load a revision.
func (s *session) proven(rev gitsource.Revision, loading error) {
	if s.Program == nil {
		return
	}
	onTrial, err := s.Program.Loaded(rev.Commit(), loading)
	if err != nil {
		s.Log.Error("whether the agent proved itself is not kept", "error", err)
	}
	if onTrial && loading == nil && err == nil {
		s.Log.Info("agent proved itself", "version", s.Version, "revision", rev.Short())
		s.rec.update(func(st *Status, _ time.Time) { st.Agent = s.agentStatus(st.Agent.Started) })
	}
}

// prove ends the session when the program's trial is over and it proved nothing.
func (s *session) prove(ctx context.Context) {
	if s.Program == nil {
		return
	}
	switch err := s.Program.Try(ctx, selfupdate.TrialTime); {
	case errors.Is(err, selfupdate.ErrRestart):
		s.Log.Warn("agent switched back", "version", s.Version)
		s.end(err)
	case err != nil:
		s.Log.Error("trial of the agent not ended", "error", err)
	}
}

func (s *session) agentStatus(started time.Time) AgentStatus {
	st := AgentStatus{Version: s.Version, PID: os.Getpid(), Process: processOf(os.Getpid()), Started: started}
	if s.Program == nil {
		return st
	}
	var err error
	if st.Status, err = s.Program.Status(); err != nil {
		s.Log.Error("which agents were tried is not readable", "error", err)
	}
	return st
}
