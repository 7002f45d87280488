// Package embeddedtest gives tests a real Kubernetes API.
package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
)

// startWithin is generous: two cores may build and test other things at once.
const startWithin = 90 * time.Second

// Start runs a control plane (etcd, API server, controller manager; no nodes)
// until the test ends, and returns the path of a kubeconfig for it. It needs no root.
func Start(t testing.TB) string {
	t.Helper()
	kubeconfig, stop, err := StartMain()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return kubeconfig
}

// StartTrial is Start for a control plane to try objects on, see [embedded.Config].
func StartTrial(t testing.TB) string {
	t.Helper()
	kubeconfig, stop, err := start(embedded.Config{Trial: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return kubeconfig
}

// StartMain is Start for a TestMain, which calls stop when its tests have run.
// The control plane also ends if the program does not get that far.
func StartMain() (kubeconfig string, stop func(), err error) {
	return start(embedded.Config{})
}

func start(cfg embedded.Config) (kubeconfig string, stop func(), err error) {
	bin, err := Programs()
	if err != nil {
		return "", nil, err
	}
	// Short, because the paths of sockets are limited.
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		return "", nil, err
	}
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startWithin)
		defer cancel()
		if err := embedded.Reset(ctx, dir); err != nil {
			fmt.Fprintln(os.Stderr, "embeddedtest:", err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	cfg.Dir, cfg.Bin, cfg.Host, cfg.ControlPlane, cfg.Lifeline = dir, bin, "test", true, true
	kubeconfig, err = embedded.Ensure(ctx, cfg)
	if err != nil {
		stop()
		return "", nil, err
	}
	return kubeconfig, stop, nil
}

// Programs returns the folder of the node's programs, built by "make embedded".
func Programs() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find go.mod: the test does not run in the source tree")
		}
	}
	bin := filepath.Join(dir, "build", "embedded")
	for _, program := range []string{"kube", "node"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return "", fmt.Errorf("%w\nhint: run make embedded first", err)
		}
	}
	return bin, nil
}
