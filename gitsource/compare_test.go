package gitsource_test

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

func TestAnAuditComparesCommitsOfAClone(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.NewRepo(t)
	base := repo.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "1", "d/b": "1", "d/c": "1"}})
	repo.Git("checkout", "-q", "-b", "topic")
	head := repo.Commit(gitsourcetest.Commit{Files: map[string]string{"d/b": "2", "e/f": "1"}, Remove: []string{"d/c"}})
	repo.Git("checkout", "-q", "-")
	main := repo.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "2"}})

	audit, err := gitsource.OpenAudit(repo.Dir, nil)
	require.NoError(t, err)
	fork, err := audit.Fork(main, "topic")
	require.NoError(t, err)
	require.Equal(t, base, fork, "what the branch began with, not what was merged since")

	paths, err := audit.Changed(base, head)
	require.NoError(t, err)
	require.Equal(t, []string{"d/b", "d/c", "e/f"}, paths, "files that are new, changed and gone")
	same, err := audit.Changed(head, head)
	require.NoError(t, err)
	require.Empty(t, same)

	tree, err := audit.Tree("topic")
	require.NoError(t, err)
	data, err := fs.ReadFile(tree, "d/b")
	require.NoError(t, err)
	require.Equal(t, "2", string(data))
	_, err = fs.Stat(tree, "d/c")
	require.ErrorIs(t, err, fs.ErrNotExist)

	_, err = audit.Tree("nothing")
	require.ErrorContains(t, err, "there is no commit nothing here")
}
