package holdfast_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/holdfast-fleet/holdfast/"

// arrows says which packages of ours each package may import. It is the table
// of docs/design.md; a package that is not listed must earn its row first.
var arrows = map[string][]string{
	"durable":            {},
	"memo":               {},
	"support":            {},
	"knownhosts":         {},
	"backup":             {"durable", "fleet", "secrets", "knownhosts"},
	"orders":             {"durable"},
	"events":             {"durable"},
	"health":             {},
	"fleet":              {"health"},
	"trust":              {},
	"secrets":            {},
	"identity":           {"durable"},
	"content":            {"durable"},
	"gitsource":          {"durable", "trust", "knownhosts"},
	"render":             {"fleet", "secrets", "render/chart"},
	"render/chart":       {"fleet", "secrets"},
	"scaffold":           {"fleet"},
	"kinds":              {},
	"review":             {"fleet", "kinds", "render", "secrets", "trust"},
	"selfupdate":         {"durable"},
	"peers":              {"fleet"},
	"relay":              {},
	"bootstrap":          {"fleet", "content", "peers", "bootstrap/containerd", "bootstrap/embedded", "bootstrap/k0s", "bootstrap/k3s", "bootstrap/kubeadm", "bootstrap/preflight", "bootstrap/settings", "bootstrap/site", "bootstrap/solo", "bootstrap/system"},
	"bootstrap/embedded": {"durable", "bootstrap/containerd"},
	"bootstrap/kubeadm":  {"durable", "fleet", "peers", "bootstrap/containerd", "bootstrap/kubeapi", "bootstrap/site", "bootstrap/system"},
	"bootstrap/k3s":      {"durable", "peers", "bootstrap/containerd", "bootstrap/solo", "bootstrap/system"},
	"bootstrap/k0s":      {"peers", "bootstrap/containerd", "bootstrap/solo", "bootstrap/system"},
	"reconciler":         {"durable", "orders", "backup", "fleet", "gitsource", "content", "secrets", "render", "identity", "peers", "bootstrap", "selfupdate"},
	"reconciler/kube":    {"reconciler", "bootstrap", "render", "review", "fleet", "health"},
	"cmd/holdfast":       {"*"},
	"e2e/testhost":       {},
	"demo":               {"reconciler", "bootstrap"},
	"fleet-example/app":  {},

	"bootstrap/containerd":      {"durable", "bootstrap/system"},
	"bootstrap/solo":            {"durable", "fleet", "peers", "bootstrap/containerd", "bootstrap/kubeapi", "bootstrap/site", "bootstrap/system"},
	"bootstrap/site":            {"fleet", "peers", "bootstrap/kubeapi", "bootstrap/system"},
	"e2e/standin":               {"durable", "bootstrap/embedded", "e2e/standin/documented"},
	"e2e/standin/documented":    {},
	"e2e/pause":                 {},
	"bootstrap/kubeapi":         {"bootstrap/system"},
	"bootstrap/preflight":       {"durable", "bootstrap/system"},
	"bootstrap/settings":        {"durable", "fleet", "bootstrap/system"},
	"bootstrap/system":          {"durable"},
	"fleet/fleettest/makefleet": {"fleet/fleettest"},
}

// owners says which packages alone may import a library: the part of it that
// the rest of the program would otherwise lean on.
var owners = map[string][]string{
	"k8s.io/client-go":             {"reconciler/kube"},
	"github.com/fluxcd/pkg/ssa":    {"reconciler/kube"},
	"sigs.k8s.io/kustomize":        {"render"},
	"helm.sh/helm":                 {"render/chart"},
	"github.com/Masterminds":       {"render/chart"},
	"github.com/go-git/go-git":     {"gitsource"},
	"github.com/ProtonMail":        {"trust"},
	"github.com/google/go-contain": {"content"},
	"filippo.io/age":               {"secrets"},
	"go.yaml.in/yaml":              {"fleet", "trust", "secrets", "render", "render/chart", "cmd/holdfast", "bootstrap/embedded", "e2e/standin/documented"},
	"github.com/coreos/go-systemd": {"cmd/holdfast"},
	"github.com/google/cel-go":     {"health"},
	"github.com/prometheus/client": {"cmd/holdfast"},
	"github.com/santhosh-tekuri":   {"kinds"},
	"github.com/minio/minio-go":    {"backup"},
	"github.com/pkg/sftp":          {"backup"},
	"github.com/robfig/cron":       {"fleet"},
}

func TestArrowsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours || strings.HasSuffix(name, "test") {
			continue // test kits may use what they like
		}
		allowed, known := arrows[name]
		require.True(t, known, "package %s has no row in the table of arrows", name)
		for _, imp := range p.Imports {
			if to, ok := strings.CutPrefix(imp, module); ok && !slices.Contains(allowed, "*") {
				require.Contains(t, allowed, to, "%s must not import %s", name, to)
			}
			for library, owner := range owners {
				if strings.HasPrefix(imp, library) {
					require.Contains(t, owner, name, "%s must not import %s", name, imp)
				}
			}
		}
	}
}

type pkg struct {
	ImportPath, Dir  string
	GoFiles, Imports []string
}

// list asks go for the packages. What that reads, Go's cache of test results does not know
// of, as it does of what the test reads.
func list(t *testing.T) []pkg {
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	require.NoError(t, err)
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		require.NoError(t, dec.Decode(&p))
		pkgs = append(pkgs, p)
		_, err := os.ReadDir(p.Dir)
		require.NoError(t, err)
		for _, file := range p.GoFiles {
			_, err := os.Stat(filepath.Join(p.Dir, file))
			require.NoError(t, err)
		}
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}
