package review_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/review"
)

func TestWhatAChangeCannotTouchIsNotRendered(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.edit(shop+"web.yaml", "${STORE_ID}", "${NOBODY_DECLARES_IT}")
	base := e.repo.Commit(gitsourcetest.Commit{})
	_, err := e.tryDiff(e.base, base, review.Options{})
	require.ErrorContains(t, err, "NOBODY_DECLARES_IT", "what breaks is told")

	e.repo.Write(page+"more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: more\n  namespace: kiosk\n")
	e.edit(page+"kustomization.yaml", "resources:", "resources:\n  - more.yaml")
	c := e.diff(base, e.repo.Commit(gitsourcetest.Commit{}))
	require.Len(t, c.Groups, 1, "sites that are broken as they were are none of its business")
	require.Equal(t, "ConfigMap kiosk/more", c.Groups[0].Object)

	e.edit(web, "replicas:", "minReadySeconds: 1\n  replicas:")
	_, err = e.tryDiff(base, e.repo.Commit(gitsourcetest.Commit{}), review.Options{})
	require.ErrorContains(t, err, "NOBODY_DECLARES_IT", "until they change")
}
