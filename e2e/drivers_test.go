//go:build e2e

package e2e_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/e2e/testhost"
)

// TestEachDriver plays what every driver must do with each of them. With ALL=1
// it plays longer stories, too, and all with kubeadm, of which others say the same.
// The embedded distribution is not among them: it makes cgroups of its own below
// the agent, in hierarchies that hosts of tests do not have to themselves. Its life
// is played in bootstrap, by TestFullNode and TestResetFromOutside.
func TestEachDriver(t *testing.T) {
	stories, err := filepath.Glob("drivers/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, stories)
	if os.Getenv("ALL") != "" {
		more, err := filepath.Glob("drivers/all/*.txt")
		require.NoError(t, err)
		stories = append(stories, more...)
	}
	for _, k := range []kit{kubeadmKit, k3sKit, rke2Kit, k0sKit} {
		for _, file := range stories {
			k, base := k, filepath.Base(file)
			if strings.HasPrefix(base, "downgrade") {
				k.versions = []string{previous + strings.TrimPrefix(k.versions[0], version), k.versions[0]}
			}
			if k.vars["AGENT"] == "" && (strings.HasPrefix(base, "joins") || strings.HasPrefix(base, "servers") || strings.HasPrefix(base, "downgrade") || base == "roles.txt") {
				continue // of kubeadm they are scenarios of their own
			}
			t.Run(k.name+"/"+strings.TrimSuffix(base, ".txt"), func(t *testing.T) {
				t.Parallel()
				if k.name == kubeadmKit.name && os.Getenv("ALL") == "" {
					t.Skip("only with ALL=1")
				}
				if !testhost.Inside(t, "../build/hosts") {
					return
				}
				play(t, file, k)
			})
		}
	}
}

var k3sKit = kit{
	name: "k3s", versions: []string{"v1.36.3+k3s1", "v1.36.3+k3s2"}, bad: "v1.36.3+k3s3", spec: "  disable: [traefik, servicelb]\n",
	add: func(hq *headquarters) error { return hq.addStandIns("docker.io/rancher/mirrored-pause:3.6") },
	vars: map[string]string{
		"UNIT": "k3s", "AGENT": "k3s-agent", "AGENTCTL": "k3s kubectl --kubeconfig=/var/lib/rancher/k3s/agent/kubelet.kubeconfig", "ASWORKER": "grep -c ::node: /var/lib/holdfast/k3s/token", "CONFIG": "/etc/rancher/k3s", "INSTALLED": "/var/lib/holdfast/k3s/record.json", "RESTORING": "/etc/rancher/k3s/config.yaml",
		"DATASTORE": "/var/lib/rancher/k3s/standin/data/etcd", "ENDS": "/etc/systemd/system/k3s.service", "BEGUN": "/etc/rancher/k3s/config.yaml", "VERSIONS": "k3s --version", "MARK": "'standin v1.36.3+k3s1'", "KUBECTL": "k3s kubectl",
		"LEAVES": "/etc/rancher/* /var/lib/rancher/* /run/k3s /var/lib/kubelet/* /usr/local/bin/k3s /etc/systemd/system/k3s.service",
	},
}

var rke2Kit = kit{
	name: "rke2", versions: []string{"v1.36.3+rke2r1", "v1.36.3+rke2r2"}, bad: "v1.36.3+rke2r3", spec: "  disable: [ingress-controller]\n",
	add: func(hq *headquarters) error { return hq.addStandIns("docker.io/rancher/mirrored-pause:3.6") },
	vars: map[string]string{
		"UNIT": "rke2-server", "AGENT": "rke2-agent", "AGENTCTL": "/var/lib/rancher/rke2/bin/kubectl --kubeconfig=/var/lib/rancher/rke2/agent/kubelet.kubeconfig", "ASWORKER": "grep -c ::node: /var/lib/holdfast/rke2/token", "CONFIG": "/etc/rancher/rke2", "INSTALLED": "/var/lib/holdfast/rke2/record.json", "RESTORING": "/etc/rancher/rke2/config.yaml",
		"DATASTORE": "/var/lib/rancher/rke2/standin/data/etcd", "ENDS": "/etc/systemd/system/rke2-server.service", "BEGUN": "/etc/rancher/rke2/config.yaml", "VERSIONS": "rke2 --version", "MARK": "'standin v1.36.3+rke2r1'",
		"KUBECTL": "/var/lib/rancher/rke2/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml",
		"LEAVES":  "/etc/rancher/* /var/lib/rancher/* /run/k3s /var/lib/kubelet/* /usr/local/bin/rke2 /etc/systemd/system/rke2-server.service",
	},
}

var k0sKit = kit{
	name: "k0s", versions: []string{"v1.36.3+k0s.0", "v1.36.3+k0s.1"}, bad: "v1.36.3+k0s.2", spec: "  disable: [helm, autopilot]\n",
	add: func(hq *headquarters) error { return hq.addStandIns("registry.k8s.io/pause:3.10") },
	vars: map[string]string{
		"UNIT": "k0scontroller", "AGENT": "k0sworker", "AGENTCTL": "KUBECONFIG=/var/lib/k0s/kubelet.conf k0s kubectl",
		"ASWORKER": "base64 -d /var/lib/holdfast/k0s/token | gunzip | grep -c kubelet-bootstrap", "CONFIG": "/etc/k0s", "INSTALLED": "/var/lib/holdfast/k0s/record.json", "RESTORING": "/var/lib/holdfast/k0s/restored.yaml",
		"DATASTORE": "/var/lib/k0s/standin/data/etcd", "ENDS": "/etc/systemd/system/k0scontroller.service", "BEGUN": "/etc/systemd/system/k0scontroller.service", "MARK": "'standin v1.36.3+k0s.0'",
		"KUBECTL": "k0s kubectl", "VERSIONS": "k0s version",
		"LEAVES": "/etc/k0s /var/lib/k0s/* /run/k0s /usr/local/bin/k0s /etc/systemd/system/k0scontroller.service",
	},
}

// addStandIns puts stand-ins of the kit's versions into the content, and what
// those run on the disks of new hosts, where the real ones bring it along.
func (hq *headquarters) addStandIns(pause string) error {
	programs := filepath.Join(hq.stage(), "usr/lib")
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return err
	}
	if _, err := hq.run("cp", "-rL", filepath.Join(hq.build, "embedded"), filepath.Join(programs, "standin")); err != nil {
		return err
	}
	if _, err := hq.run("cp", filepath.Join(hq.build, "e2e/etcdutl"), filepath.Join(programs, "standin")); err != nil {
		return err
	}
	for _, version := range append(slices.Clone(hq.kit.versions), hq.kit.bad) {
		dir := filepath.Join(hq.dir, version)
		program, images := filepath.Join(dir, hq.kit.name), filepath.Join(dir, hq.kit.name+"-images.tar")
		tag := strings.ReplaceAll(version, "+", "-")
		if err := errors.Join(hq.writeStandIn(program, version), writePause(images, hq.build, pause, version),
			hq.addContent("holdfast.dev/"+hq.kit.name+"/programs:"+tag, program),
			hq.addContent("holdfast.dev/"+hq.kit.name+"/images:"+tag, images)); err != nil {
			return err
		}
	}
	return nil
}

// writeStandIn makes a stand-in of a version: the program, and a line at its end.
func (hq *headquarters) writeStandIn(file, version string) error {
	if version == hq.kit.bad {
		return hq.write(file, "#!/bin/sh\necho \"$0: illegal instruction\" >&2\nexit 1\n", 0o755)
	}
	data, err := os.ReadFile(filepath.Join(hq.build, "e2e/standin"))
	if err != nil {
		return err
	}
	return hq.write(file, string(data)+"\nstandin "+version+"\n", 0o755)
}

// writePause writes an archive of the one image that a stand-in needs, another for each version.
func writePause(file, build, ref, version string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	archive := tar.NewWriter(out)
	data, err := layer(map[string]string{"pause": build + "/embedded/pause"}, nil)
	if err != nil {
		return err
	}
	img, err := addImage(archive, ref, data, []string{"/pause"})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]image{img})
	if err != nil {
		return err
	}
	return errors.Join(put(archive, "manifest.json", manifest), put(archive, "version", []byte(version)), archive.Close())
}
