package bootstrap_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestFor(t *testing.T) {
	t.Parallel()
	_, err := bootstrap.For("k9s")
	require.ErrorContains(t, err, `"k9s"`)
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	driver, err := bootstrap.For("embedded")
	require.NoError(t, err)
	for _, tt := range []struct {
		name         string
		distribution fleet.Distribution
		want         []string
	}{
		{"a full node needs the programs and the pause image", fleet.Distribution{Version: "v1.36.3"},
			[]string{"holdfast.dev/embedded/kubernetes:v1.36.3", "holdfast.dev/embedded/pause:v1.36.3"}},
		{"a control plane needs the programs", fleet.Distribution{Version: "v1.36.3", ControlPlane: true},
			[]string{"holdfast.dev/embedded/kubernetes:v1.36.3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, driver.Needs(tt.distribution))
		})
	}
	k3s, err := bootstrap.For(fleet.K3s)
	require.NoError(t, err)
	require.Equal(t, []string{"holdfast.dev/k3s/programs:v1.36.3-k3s1", "holdfast.dev/k3s/images:v1.36.3-k3s1"},
		k3s.Needs(fleet.Distribution{Type: fleet.K3s, Version: "v1.36.3+k3s1"}), "a tag has no +")
}

func TestAVersionThatNoDriverKnowsIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, version, want, hint string }{
		{fleet.Kubeadm, "v1.36.9", "", ""},
		{fleet.Kubeadm, "v1.3.6", "type kubeadm does not know Kubernetes v1.3.6", "a version of v1.35 or v1.36,"},
		{fleet.Kubeadm, "v1.360.0", "type kubeadm does not know Kubernetes v1.360.0", "v1.35 or v1.36"},
		{fleet.Embedded, "v1.36.0", "", ""},
		{fleet.Embedded, "v1.37.0", "type embedded does not know Kubernetes v1.37.0", "a version of v1.36,"},
		{"k9s", "v1.36.3", `no driver runs distributions of type "k9s"`, ""},
	} {
		t.Run(tt.kind+" "+tt.version, func(t *testing.T) {
			t.Parallel()
			d := fleet.Distribution{Type: tt.kind, Version: tt.version}
			err := bootstrap.Check(d)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			if driver, noDriver := bootstrap.For(tt.kind); noDriver == nil {
				_, onHost := driver.Ensure(t.Context(), bootstrap.Request{Dir: t.TempDir(), Host: "a", Distribution: d})
				require.ErrorContains(t, onHost, tt.want)
				var hint interface{ Hint() string }
				require.ErrorAs(t, onHost, &hint)
				require.Contains(t, hint.Hint(), tt.hint)
			}
		})
	}
}

func TestHostsThatAreTooManyForOneCluster(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind, pods string
		hosts      int
		want, hint string
	}{
		{fleet.Embedded, "10.244.0.0/24", 1, "", ""},
		{fleet.Embedded, "10.244.0.0/24", 2, "a cluster of type embedded has one host, and the site has 2", "another type"},
		{fleet.Kubeadm, "10.244.0.0/16", 200, "", ""},
		{fleet.Kubeadm, "10.244.0.0/22", 4, "", ""},
		{fleet.Kubeadm, "10.244.0.0/22", 5, "podCIDR 10.244.0.0/22 has networks for the pods of 4 nodes, a /24 each, and the site has 5 hosts", "/21 or larger"},
		{fleet.Kubeadm, "10.244.0.0/24", 2, "for the pods of 1 nodes", "/23 or larger"},
		{fleet.K3s, "10.42.0.0/16", 4, "", ""},
		{fleet.RKE2, "10.42.0.0/16", 4, "", ""},
		{fleet.K0s, "10.244.0.0/16", 4, "", ""},
	} {
		t.Run(fmt.Sprint(tt.kind, tt.hosts), func(t *testing.T) {
			t.Parallel()
			err := bootstrap.CheckHosts(fleet.Distribution{Type: tt.kind, PodCIDR: tt.pods}, tt.hosts)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			var hinted interface{ Hint() string }
			require.ErrorAs(t, err, &hinted)
			require.Contains(t, hinted.Hint(), tt.hint)
		})
	}
}

// TestContentIsCheckedFirst: nothing of a request with bad content may run.
func TestContentIsCheckedFirst(t *testing.T) {
	t.Parallel()
	const ref = "holdfast.dev/embedded/kubernetes:v1.36.3"
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, store string, req *bootstrap.Request)
		want   string
	}{
		{"no digest is locked", func(_ *testing.T, _ string, req *bootstrap.Request) { req.Content = nil }, "no digest is locked for " + ref},
		{"a digest that is none", func(_ *testing.T, _ string, req *bootstrap.Request) { req.Content[ref] = "sha256:../../x" }, "is not a digest"},
		{"a digest that the store lacks", func(_ *testing.T, _ string, req *bootstrap.Request) {
			req.Content[ref] = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
		}, "not in the content store"},
		{"a blob that was changed", func(t *testing.T, store string, _ *bootstrap.Request) {
			blobs, err := filepath.Glob(filepath.Join(store, "blobs", "sha256", "*"))
			require.NoError(t, err)
			require.NotEmpty(t, blobs)
			for _, blob := range blobs {
				if info, err := os.Stat(blob); err == nil && info.Size() == int64(len(program)) {
					require.NoError(t, os.WriteFile(blob, []byte("#!/bin/bad\n"[:len(program)]), 0o600))
				}
			}
		}, "does not match its digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			store, err := content.Open(filepath.Join(dir, "content"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "kube"), []byte(program), 0o700))
			digest, err := store.AddFiles(ref, []string{filepath.Join(dir, "kube")})
			require.NoError(t, err)
			req := bootstrap.Request{Dir: filepath.Join(dir, "c"), Host: "a", Store: store, Content: map[string]string{ref: digest},
				Distribution: fleet.Distribution{Type: fleet.Embedded, Version: "v1.36.3", ControlPlane: true}}
			tt.damage(t, filepath.Join(dir, "content"), &req)
			driver, err := bootstrap.For("embedded")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = driver.Ensure(ctx, req)
			require.ErrorContains(t, err, tt.want)
			found, err := filepath.Glob(filepath.Join(req.Dir, "bin", "*", "kube"))
			require.NoError(t, err)
			require.Empty(t, found)
			require.NoFileExists(t, filepath.Join(req.Dir, "etc", "node.json"))
		})
	}
}

const program = "#!/bin/sh\n\n" // a stand-in: it must never run

// TestWhichUpgradesHostsTake: what one host refuses later is better refused in review.
func TestWhichUpgradesHostsTake(t *testing.T) {
	t.Parallel()
	back := []string{"v1.35.4", "v1.36.1", "v1.35.4+k3s1"}
	for _, tt := range []struct {
		name, kind, was, is string
		allow               []string
		want                string
	}{
		{"the next minor version is taken", fleet.Kubeadm, "v1.35.4", "v1.36.3", nil, ""},
		{"none is left out", fleet.Kubeadm, "v1.35.4", "v1.37.0", back, "one minor version at a time: from v1.35.4 to v1.36 first"},
		{"the way back takes leave", fleet.Kubeadm, "v1.36.3", "v1.35.4", nil, "does not go back from v1.36.3 to v1.35.4"},
		{"hosts go back with it", fleet.Kubeadm, "v1.36.3", "v1.35.4", back, ""},
		{"a patch takes leave, too", fleet.Kubeadm, "v1.36.3", "v1.36.1", nil, "an older patch of Kubernetes"},
		{"and goes back with it", fleet.Kubeadm, "v1.36.3", "v1.36.1", back, ""},
		{"leave is for one version", fleet.Kubeadm, "v1.36.3", "v1.35.5", back, "does not go back"},
		{"k3s takes leave", fleet.K3s, "v1.36.3+k3s1", "v1.35.4+k3s1", nil, "does not go back"},
		{"and goes back with it", fleet.K3s, "v1.36.3+k3s1", "v1.35.4+k3s1", back, ""},
		{"a patch takes none", fleet.K3s, "v1.36.3+k3s1", "v1.36.2+k3s1", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := bootstrap.CheckUpgrade(fleet.Distribution{Type: tt.kind, Version: tt.was}, fleet.Distribution{Type: tt.kind, Version: tt.is}, tt.allow)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}
