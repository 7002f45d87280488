package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
	"github.com/holdfast-fleet/holdfast/render"
)

func newExplainCmd() *cobra.Command {
	var opts explainOptions
	var dataDir string
	cmd := &cobra.Command{
		Use:   "explain KIND/NAME",
		Short: "Show where an object of this host's cluster comes from, and how it is",
		Long: `Show where an object of this host's cluster comes from, and how it is: which files
of which commit made it, who signed that, its layer and variables; whether it is
healthy and if not why; who else writes to it, and what of it is left to others.

All but its health is read from what the agent keeps, so it works without sources,
cluster and agent, and with a damaged status. The kind is as kubectl takes it, and an
object may be named as the status names it: "Deployment shop/web".`,
		Example: `  holdfast explain deployment/web -n shop
  holdfast explain Deployment shop/web
  holdfast explain cm/web-text -o json | jq .commits`,
		Args: func(cmd *cobra.Command, args []string) error { return takes(cmd, "an object", args, 1, 2) },
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExplain(cmd.Context(), cmd.OutOrStdout(), dataDir, strings.Join(args, "/"), opts)
		},
	}
	addDataDir(cmd, &dataDir)
	addOutput(cmd, &opts.output)
	cmd.Flags().StringVarP(&opts.namespace, "namespace", "n", "", "namespace of the object")
	cmd.Flags().StringVar(&opts.layer, "layer", "", "layer of the object")
	return cmd
}

// hostObject is what there is to say of an object on a host.
type hostObject struct {
	*explainedObject
	Revision string            `json:"revision"`
	Signer   string            `json:"signer"`
	State    revisionState     `json:"state"` // of the revision
	Cluster  string            `json:"cluster,omitempty"`
	Live     *kube.Examination `json:"live,omitempty"`  // nil: the cluster could not be asked
	Fight    string            `json:"fight,omitempty"` // who changes it back, as the agent noted

	object reconciler.Object
}

// revisionState says how far a host is with a revision.
type revisionState string

// The states of a revision.
const (
	isConfirmed revisionState = "confirmed"
	isAccepted  revisionState = "accepted, not confirmed yet"
	isBefore    revisionState = "confirmed; the newest one does not load or render, or lacks the object"
)

func runExplain(ctx context.Context, w io.Writer, dataDir, object string, opts explainOptions) error {
	st, err := readStatus(statusOptions{dataDir: dataDir})
	if err != nil {
		var confirmed bool
		if st, confirmed = lastConfirmed(dataDir, err); !confirmed {
			return err
		}
	}
	repo, err := gitsource.Look(sourceState(dataDir))
	if errors.Is(err, gitsource.ErrNothing) {
		return &tipError{err, "what the host has and does is said by holdfast status"}
	}
	if err != nil {
		return err
	}
	defer repo.Close()
	said, layer, err := explainHere(repo, st, object, opts)
	if err != nil {
		return leftOver(st, object, err)
	}
	said.look(ctx, st, layer)
	if opts.output != "text" {
		return printAs(w, opts.output, said)
	}
	return said.print(w)
}

// lastConfirmed stands in for a status that cannot be read: it knows the site and what
// was confirmed for it, but not where the cluster is.
func lastConfirmed(dataDir string, unread error) (st hostStatus, ok bool) {
	commit, desired, ok, err := reconciler.ReadConfirmed(dataDir)
	if err != nil || !ok {
		return st, false
	}
	st.Site, st.Host, st.Confirmed = desired.Site, desired.Host, &commit
	st.Now.Cluster = "is not found: " + unread.Error()
	return st, true
}

// explainHere explains an object by the newest revision that has it.
func explainHere(repo *gitsource.Repository, st hostStatus, object string, opts explainOptions) (*hostObject, render.Layer, error) {
	rev, _, err := repo.Floor()
	if err != nil {
		return nil, render.Layer{}, err
	}
	state := isAccepted
	if st.Confirmed != nil && st.Confirmed.Revision == rev.Commit() {
		state = isConfirmed
	}
	said, layer, err := explainAt(repo, rev, st.Site, object, opts)
	if err != nil && state == isAccepted && st.Confirmed != nil {
		before, lost := repo.Accepted(st.Confirmed.Revision)
		if lost != nil {
			return nil, layer, err
		}
		older, layer, worse := explainAt(repo, before, st.Site, object, opts)
		if worse != nil {
			return nil, layer, err
		}
		older.State, older.Signer = isBefore, st.Confirmed.Signer
		return older, layer, nil
	}
	if err == nil {
		said.State, said.Signer = state, rev.Signer().Name
	}
	return said, layer, err
}

func explainAt(repo *gitsource.Repository, rev gitsource.Revision, siteName, object string, opts explainOptions) (*hostObject, render.Layer, error) {
	var layer render.Layer
	f, err := fleet.LoadWith(rev.FS(), fleet.Options{Pins: repo.Pins(rev)})
	if err != nil {
		return nil, layer, fmt.Errorf("load revision %s: %w", rev.Short(), err)
	}
	site, err := siteNamed(f, siteName)
	if err != nil {
		return nil, layer, err
	}
	r := render.New(rev.FS(), render.Options{Worker: renderWorkerCmd})
	defer r.Close()
	e, found, err := explain(r, site, object, opts)
	if err != nil {
		return nil, layer, err
	}
	group := groupOf(found.APIVersion)
	said := &hostObject{explainedObject: e, Revision: rev.Commit(), object: reconciler.Object{
		Group: group, Version: strings.TrimPrefix(found.APIVersion, group+"/"), Kind: found.Kind, Namespace: found.Namespace, Name: found.Name}}
	changes, err := repo.LastChanges(rev, e.files())
	if err != nil {
		return nil, layer, err
	}
	for _, c := range changes {
		said.Commits = append(said.Commits, fileCommit{File: c.File, Commit: c.Commit, Date: c.Time.Format(time.DateOnly), Author: c.Author, Subject: c.Subject, Signer: c.Signer})
	}
	slices.SortFunc(said.Commits, func(a, b fileCommit) int { return strings.Compare(a.File, b.File) })
	cluster, err := r.Site(site)
	if err != nil {
		return nil, layer, err
	}
	for _, l := range cluster.Layers {
		if l.Name == found.layer.Name {
			layer = l
		}
	}
	return said, layer, nil
}

// look asks the cluster how the object is, and the agent who fights over it.
func (h *hostObject) look(ctx context.Context, st hostStatus, layer render.Layer) {
	for _, f := range st.Fights {
		if f.String() == h.Object {
			h.Fight = f.Why
		}
	}
	if h.Cluster = cmp.Or(st.Now.Cluster, askCluster(ctx, st.Kubeconfig)); h.Cluster != answers || layer.Name == "" {
		return
	}
	c, err := kube.Connect(st.Kubeconfig, nil)
	if err != nil {
		h.Cluster = err.Error()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*clusterAnswer)
	defer cancel()
	live, err := c.Examine(ctx, layer, h.object)
	if err != nil {
		h.Cluster = err.Error()
		return
	}
	h.Live = &live
}

// leftOver says of an object that no revision has what became of it, if that is known.
func leftOver(st hostStatus, object string, err error) error {
	kind, name, namespace, bad := wantedObject(object)
	if bad != nil {
		return err
	}
	for _, o := range st.Held {
		if strings.EqualFold(o.Kind, kind) && o.Name == name && (namespace == "" || namespace == o.Namespace) {
			return &tipError{fmt.Errorf("%s was of layer %s, which does not list it any more; it is held: %s", o.String(), o.Layer, o.Why), o.Do}
		}
	}
	return err
}

func (h *hostObject) print(w io.Writer) error {
	s := newSheet(w)
	h.printHealth(s)
	s.fact("revision", "", fmt.Sprintf("%s  signed by %s; %s", clip(h.Revision), printable(h.Signer), h.State))
	s.WriteByte('\n')
	if _, err := io.WriteString(w, s.String()); err != nil {
		return err
	}
	return h.explainedObject.print(w)
}

func (h *hostObject) printHealth(s *sheet) {
	live := h.Live
	switch {
	case live == nil && h.Cluster == "":
		s.fact("health", "", "not known: there is no cluster yet")
	case live == nil:
		s.fact("health", red, "not known: the cluster "+printable(h.Cluster))
	case live.Healthy():
		s.fact("health", "", s.paint(green, "healthy")+", made "+age(time.Now(), live.Made)+" ago")
	default:
		s.fact("health", "", s.paint(red, printable(live.Status))+": "+printable(live.Why))
		if live.Hint != "" {
			s.fact("", "", "hint: "+printable(live.Hint))
		}
	}
	if h.Fight != "" {
		s.fact("fight", yellow, printable(h.Fight))
	}
	if live == nil {
		return
	}
	label := "others"
	for _, m := range live.Others {
		text := printable(m.Name)
		if len(m.Took) > 0 {
			text += " has taken " + printable(strings.Join(m.Took, ", "))
		} else {
			text += fmt.Sprintf(" has %s of its own", count(m.Other, "field"))
		}
		if !m.At.IsZero() {
			text += ", " + age(time.Now(), m.At) + " ago"
		}
		s.fact(label, "", text)
		label = ""
	}
	if len(live.Ignored) > 0 {
		s.fact("ignored", "", printable(strings.Join(live.Ignored, ", "))+": left to others")
	}
}
