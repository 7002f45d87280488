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
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// version is that of Kubernetes in build/embedded.
const version = "v1.36.3"

// repository is where the stories' fleets say that images are.
const repository = "registry.example.com/kubernetes"

// parts are the images of the control plane, which one layer serves: it has the
// multi-call program under each name.
func parts() map[string]string {
	return map[string]string{
		"kube-apiserver": version, "kube-controller-manager": version, "kube-scheduler": version, "kube-proxy": version,
		"etcd": "3.6.8-0", "coredns": "v1.14.2", "pause": "3.10.2",
	}
}

// image is one entry of the manifest of an archive, as "docker save" writes it.
type image struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeImages writes an archive of all parts to file, from the programs in build
// and the tools of the tree.
func writeImages(file, build, tree string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	archive := tar.NewWriter(out)
	kube, err := kubeLayer(build, tree)
	if err != nil {
		return err
	}
	layers := map[string][]byte{}
	for _, part := range []string{"coredns", "pause"} {
		if layers[part], err = layer(map[string]string{part: programs(build)[part]}, nil); err != nil {
			return err
		}
	}
	var manifest []image
	for part, tag := range parts() {
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

func programs(build string) map[string]string {
	return map[string]string{"coredns": build + "/e2e/coredns", "pause": build + "/embedded/pause"}
}

// kubeLayer holds the multi-call program and nft, which kube-proxy calls.
func kubeLayer(build, tree string) ([]byte, error) {
	out, err := exec.Command("chroot", tree, "ldd", "/usr/sbin/nft").Output()
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"usr/local/bin/kube": build + "/embedded/kube", "usr/sbin/nft": tree + "/usr/sbin/nft",
		"usr/local/bin/etcdutl": build + "/e2e/etcdutl", // the image of etcd has it
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			files[word[1:]] = filepath.Join(tree, word)
		}
	}
	links := map[string]string{}
	for part := range parts() {
		if programs(build)[part] == "" {
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
