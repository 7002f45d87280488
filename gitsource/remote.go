package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

const (
	maxAdvertised = 16 << 20 // bytes of the list of branches
	maxHaves      = 256      // commits named to a remote
)

// remote is a Git repository behind smart HTTP or SSH.
type remote struct {
	name      string // of the candidate
	ref       string // in the mirror
	endpoint  *transport.Endpoint
	transport interface {
		NewUploadPackSession(*transport.Endpoint, transport.AuthMethod) (transport.UploadPackSession, error)
	}
	source Source
}

func newRemote(id string, u *url.URL, source Source, lim limits) (*remote, error) {
	endpoint, err := transport.NewEndpoint(u.String())
	if err != nil {
		return nil, errors.New("malformed URL")
	}
	m := &remote{ref: "refs/holdfast/source/" + id, endpoint: endpoint, source: source}
	if u.Scheme == "ssh" {
		m.transport = &sshLogin{u, source, lim.pack}
		return m, nil
	}
	client := &http.Client{Transport: &boundedTransport{lim.pack, newLogin(u, source)}}
	m.transport = githttp.NewClientWithOptions(client, &githttp.ClientOptions{RedirectPolicy: githttp.FollowInitialRedirects})
	return m, nil
}

// session asks the remote for its tip of branch: one round trip.
func (m *remote) session(ctx context.Context, branch string) (transport.UploadPackSession, *packp.AdvRefs, plumbing.Hash, error) {
	ctx, cancel := context.WithTimeout(ctx, m.source.Answer)
	defer cancel()
	session, err := m.transport.NewUploadPackSession(m.endpoint, nil)
	if err != nil {
		return nil, nil, plumbing.ZeroHash, err
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return nil, nil, plumbing.ZeroHash, errors.New("the repository is empty")
	case errors.Is(err, context.DeadlineExceeded):
		return nil, nil, plumbing.ZeroHash, fmt.Errorf("no answer within %s", m.source.Answer)
	case err != nil:
		return nil, nil, plumbing.ZeroHash, err
	}
	tip, ok := refs.References["refs/heads/"+branch]
	if !ok {
		return nil, nil, plumbing.ZeroHash, fmt.Errorf("it has no branch %s", branch)
	}
	return session, refs, tip, nil
}

// download hands the pack that leads from what we have to tip to receive.
func (m *remote) download(ctx context.Context, session transport.UploadPackSession, req *packp.UploadPackRequest,
	receive func(context.Context, io.Reader) (*staged, error)) (*staged, error) {
	ctx, patience := newPatience(ctx, m.source.Deadline)
	defer patience.stop()
	idle := time.AfterFunc(m.source.Idle, patience.cancel)
	defer idle.Stop()
	response, err := session.UploadPack(ctx, req)
	if err != nil {
		return nil, m.slow(ctx, err)
	}
	defer response.Close()
	var pack io.Reader = &arriving{response, idle, m.source.Idle, patience}
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, pack)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, pack)
	}
	s, err := receive(ctx, &arrived{pack, idle, patience.end})
	if err != nil {
		return nil, m.slow(ctx, err)
	}
	return s, nil
}

func (m *remote) slow(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("it stopped sending, or sent for longer than %s too slowly: %w", m.source.Deadline, err)
	}
	return err
}

// request asks for commits and tags, given what we have.
func request(refs *packp.AdvRefs, wants, haves []plumbing.Hash) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	if refs.Capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return nil, err
		}
	}
	req.Wants = wants
	req.Haves = haves
	return req, nil
}

// boundedTransport ends answers that are larger than any honest one.
type boundedTransport struct {
	pack  int64
	login *login
}

func (b *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	client, err := b.login.client()
	if err != nil {
		return nil, err
	}
	res, err := client.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := int64(maxAdvertised)
	switch {
	case res.StatusCode != http.StatusOK:
		limit = 64 << 10
	case strings.HasSuffix(req.URL.Path, "/git-upload-pack"):
		limit = b.pack + b.pack/64 + 1<<20 // side bands add their own headers
	}
	res.Body = &boundedBody{res.Body, limit}
	return res, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the remote sends more than is allowed")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
