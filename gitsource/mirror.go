package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// staticMirror is a source of plain files on a web server.
type staticMirror struct {
	name   string   // of the candidate
	base   *url.URL // of the folder
	source Source
	login  *login
	dir    string // where downloads are kept until they are whole

	unchanged http.Header // what makes the next request for the head conditional
	patience  *patience   // of the poll
}

func newStaticMirror(name string, u *url.URL, source Source, dir string) *staticMirror {
	return &staticMirror{name: name, base: u, source: source, login: newLogin(u, source), dir: dir}
}

// fetchMirror brings what a static mirror has. If that did not change, it is one
// conditional request.
func (r *Repository) fetchMirror(ctx context.Context, m *staticMirror) error {
	ctx, m.patience = newPatience(ctx, m.source.Deadline)
	defer m.patience.stop()
	if r.candidate(m.name) == nil {
		m.unchanged = nil
	}
	head, unchanged, err := m.head(ctx)
	if err != nil || head == nil {
		return err
	}
	if head.Branch != r.branch {
		return fmt.Errorf("it is of branch %s, not %s", clip(head.Branch), r.branch)
	}
	path, err := head.path(func(object string) bool { return r.store().has(plumbing.NewHash(object)) })
	if err != nil {
		return err
	}
	if err := m.forget(path); err != nil {
		return err
	}
	for i, f := range path {
		c, err := r.fetchMirrorFile(ctx, m, f, i < len(path)-1)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name(), err)
		}
		if r.refusal(c) != nil { // what follows builds on what was not taken
			m.unchanged = unchanged
			return nil
		}
	}
	c := head.candidate(m.name)
	if missing := c.missing(r.store()); len(missing) > 0 {
		return fmt.Errorf("its files do not hold %.12s", missing[0])
	}
	if err := r.admit(c, nil); err != nil {
		return err
	}
	m.unchanged = unchanged
	return nil
}

func (r *Repository) fetchMirrorFile(ctx context.Context, m *staticMirror, f mirrorFile, part bool) (*candidate, error) {
	if f.Size > r.limits.pack {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", f.Size, r.limits.pack)
	}
	file, err := m.download(ctx, f)
	if err != nil {
		return nil, err
	}
	defer os.Remove(file)
	return r.readBundle(ctx, &candidate{source: m.name, part: part}, file)
}

// head asks for head.json; nil says that it did not change.
func (m *staticMirror) head(ctx context.Context) (*mirrorHead, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, m.source.Answer)
	defer cancel()
	res, err := m.get(ctx, mirrorHeadFile, m.unchanged)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, nil, fmt.Errorf("no answer within %s", m.source.Answer)
	}
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified && m.unchanged != nil {
		return nil, nil, nil
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s: %s", mirrorHeadFile, res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxMirrorHead+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", mirrorHeadFile, err)
	}
	head, err := parseMirrorHead(data)
	unchanged := make(http.Header)
	if tag := res.Header.Get("Etag"); tag != "" {
		unchanged.Set("If-None-Match", tag)
	} else if at := res.Header.Get("Last-Modified"); at != "" {
		unchanged.Set("If-Modified-Since", at)
	}
	return head, unchanged, err
}

func (m *staticMirror) get(ctx context.Context, name string, header http.Header) (*http.Response, error) {
	client, err := m.login.client()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		req.Header[key] = values
	}
	req.Header.Set("Accept-Encoding", "identity") // ranges are of the file's bytes
	res, err := client.Do(req)
	if ue := new(url.Error); errors.As(err, &ue) {
		err = ue.Err // the URL is said once, by the caller
	}
	return res, err
}

// forget removes what is left of files that are not on the path any more.
func (m *staticMirror) forget(path []mirrorFile) error {
	if len(path) == 0 {
		return os.RemoveAll(m.dir)
	}
	wanted := make(map[string]bool)
	for _, f := range path {
		wanted[f.name()] = true
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !wanted[e.Name()] {
			if err := os.RemoveAll(filepath.Join(m.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// download returns the path of a whole file. What was received before a cut, also
// before a restart, is kept, and only the rest is asked for.
func (m *staticMirror) download(ctx context.Context, f mirrorFile) (string, error) {
	path := filepath.Join(m.dir, f.name())
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	for {
		before, err := file.Seek(0, io.SeekEnd)
		if err != nil {
			return "", err
		}
		if before > f.Size {
			os.Remove(path)
			return "", errors.New("longer than the head says")
		}
		if before == f.Size {
			break
		}
		err = m.receive(ctx, file, f, before)
		after, seekErr := file.Seek(0, io.SeekEnd)
		if seekErr != nil {
			return "", seekErr
		}
		if after >= f.Size {
			continue
		}
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		if after <= before || ctx.Err() != nil { // a cut that brought nothing is for the next poll
			return "", fmt.Errorf("%d of %d bytes received: %w", after, f.Size, err)
		}
	}
	sum, err := digestFile(ctx, file)
	if err != nil {
		return "", err
	}
	if sum != f.SHA256 {
		os.Remove(path)
		return "", errors.New("its bytes are not those that the head says")
	}
	return path, nil
}

// receive appends what the server sends from offset on, until it ends or stalls.
func (m *staticMirror) receive(ctx context.Context, file *os.File, f mirrorFile, offset int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(m.source.Idle, cancel)
	defer idle.Stop()
	header := make(http.Header)
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	res, err := m.get(ctx, f.name(), header)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusPartialContent && offset > 0:
		var from int64
		if _, err := fmt.Sscanf(res.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != offset {
			return fmt.Errorf("asked from byte %d on, it sent %q", offset, clip(res.Header.Get("Content-Range")))
		}
	case res.StatusCode == http.StatusOK: // a server without ranges starts again
		if err := file.Truncate(0); err != nil {
			return err
		}
		if offset, err = file.Seek(0, io.SeekStart); err != nil {
			return err
		}
	default:
		return errors.New(res.Status)
	}
	body := &arriving{io.LimitReader(res.Body, f.Size-offset), idle, m.source.Idle, m.patience}
	_, err = io.Copy(file, &meteredReader{ctx, body, newMeter(ctx, "receiving", true, f.Size-offset)})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("it stopped sending: %w", err)
	}
	return err
}
