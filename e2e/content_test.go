//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// version is that of Kubernetes in build/embedded, and previous what upgrades to it begin at.
const (
	version  = "v1.36.3"
	previous = "v1.35.4"
)

// repository is where the stories' fleets say that images are.
const repository = "registry.example.com/kubernetes"

// release is what a version of kubeadm's Kubernetes is made of.
type release struct {
	kube, coredns string            // programs, in build
	tags          map[string]string // of the images that are not of the version's own
}

var releases = map[string]release{
	version:  {"embedded/kube", "e2e/coredns", map[string]string{"etcd": "3.6.8-0", "coredns": "v1.14.2", "pause": "3.10.2"}},
	previous: {"e2e/previous/kube", "e2e/previous/coredns", map[string]string{"etcd": "3.6.6-0", "coredns": "v1.13.1", "pause": "3.10.1"}},
}

// parts are the images of a version's control plane, which one layer serves: it has
// the multi-call program under each name.
func parts(version string) map[string]string {
	tags := maps.Clone(releases[version].tags)
	for _, part := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		tags[part] = version
	}
	return tags
}

// image is one entry of the manifest of an archive, as "docker save" writes it.
type image struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeImages writes an archive of all parts of a version to file, from the programs
// in build and the tools of the tree.
func writeImages(file, version, build, tree string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	archive := tar.NewWriter(out)
	kube, err := kubeLayer(version, build, tree)
	if err != nil {
		return err
	}
	layers := map[string][]byte{}
	for part, program := range programs(version, build) {
		if layers[part], err = layer(map[string]string{part: program}, nil); err != nil {
			return err
		}
	}
	var manifest []image
	for part, tag := range parts(version) {
		data := layers[part]
		entrypoint := []string{"/" + part}
		if data == nil {
			data, entrypoint = kube, nil
		}
		img, err := addImage(archive, repository+"/"+part+":"+tag, data, entrypoint)
		if err != nil {
			return err
		}
		manifest = append(manifest, img)
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	return errors.Join(put(archive, "manifest.json", data), archive.Close())
}

// programs are those of images of their own.
func programs(version, build string) map[string]string {
	return map[string]string{"coredns": filepath.Join(build, releases[version].coredns), "pause": build + "/e2e/pause"}
}

// kubeLayer holds the multi-call program and nft, which kube-proxy calls.
func kubeLayer(version, build, tree string) ([]byte, error) {
	out, err := exec.Command("chroot", tree, "ldd", "/usr/sbin/nft").Output()
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"usr/local/bin/kube": filepath.Join(build, releases[version].kube), "usr/sbin/nft": tree + "/usr/sbin/nft",
		"usr/local/bin/etcdutl": build + "/e2e/etcdutl",  // the image of etcd has it
		"etc/protocols":         tree + "/etc/protocols", // by which nft calls TCP as kube-proxy does, which else finds its own rules strange
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			files[word[1:]] = filepath.Join(tree, word)
		}
	}
	links := map[string]string{}
	for part := range parts(version) {
		if programs(version, build)[part] == "" {
			links["usr/local/bin/"+part] = "kube"
		}
	}
	return layer(files, links)
}

// layer makes a layer of files, name → source, and of symbolic links, name → target.
func layer(files, links map[string]string) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for name, source := range files {
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		if err := put(w, name, data); err != nil {
			return nil, err
		}
	}
	for name, target := range links {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buffer.Bytes(), err
}

func put(w *tar.Writer, name string, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := io.Copy(w, bytes.NewReader(data))
	return err
}

// addImage puts an image of one layer into the archive.
func addImage(w *tar.Writer, name string, data []byte, entrypoint []string) (image, error) {
	sum := sha256.Sum256(data)
	id := hex.EncodeToString(sum[:])
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Entrypoint": entrypoint, "Env": []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + id}},
	})
	if err != nil {
		return image{}, err
	}
	part, _, _ := strings.Cut(path.Base(name), ":")
	img := image{Config: part + ".json", RepoTags: []string{name}, Layers: []string{part + "/layer.tar"}}
	return img, errors.Join(put(w, img.Config, config), put(w, img.Layers[0], data))
}
