package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
)

// staticPod is what is read of a pod of the control plane, on disk and in the cluster.
type staticPod struct {
	Spec struct {
		Containers []struct{ Image string }
	}
}

func (p staticPod) images() (images []string) {
	for _, c := range p.Spec.Containers {
		images = append(images, c.Image)
	}
	return images
}

// mirrored tells whether the cluster shows the pods that the manifests are of. It does
// not right after manifests were put back: kubeadm, which takes what the cluster shows
// for what there was, would write the same again and wait for a change in vain.
func (n *node) mirrored(ctx context.Context) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	for _, file := range manifests {
		if err := mirrors(ctx, server, file, n.Host); err != nil {
			return err
		}
	}
	return nil
}

// mirrors tells whether the cluster shows the pod of one manifest, if that is there.
func mirrors(ctx context.Context, server *kubeapi.Server, file, host string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var want, shown staticPod
	if err := yaml.Unmarshal(data, &want); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".yaml") + "-" + host
	if err := server.Get(ctx, "/api/v1/namespaces/kube-system/pods/"+name, &shown); err != nil {
		return err
	}
	if !slices.Equal(shown.images(), want.images()) {
		return fmt.Errorf("the cluster shows pod %s with image %s, and %s says %s: its kubelet has not changed it yet",
			name, strings.Join(shown.images(), ", "), file, strings.Join(want.images(), ", "))
	}
	return nil
}
