package reconciler_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
)

const password = "correct horse battery staple"

// sealed is a layer with the password in a Secret, encrypted to the given key.
func (s *stage) sealed(to string) map[string]string {
	plain := "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: default}\nstringData: {password: " + password + "}\n"
	data, err := secrets.Encrypt("secret.yaml", []byte(plain), secrets.Rule{
		Recipients: []string{to}, Selection: secrets.Selection{EncryptedRegex: "^stringData$"}}, time.Now())
	require.NoError(s.t, err)
	files := s.layers(map[string]string{"db": "|text"})
	files["profiles/shop/addons/db/kustomization.yaml"] = "resources: [objects.yaml, secret.yaml]\n"
	files["profiles/shop/addons/db/secret.yaml"] = string(data)
	return files
}

func (s *stage) secret() string {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	return string(s.cluster.objects["Secret/db"])
}

// nowhere asserts that nothing below the agent's folder holds the password. The agent goes
// on: what it writes beside a file and renames may be gone when it is looked at.
func (s *stage) nowhere() {
	s.t.Helper()
	files := 0
	require.NoError(s.t, filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		var data []byte
		if err == nil && d.Type().IsRegular() {
			data, err = os.ReadFile(path)
			files++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, text := range []string{password, base64.StdEncoding.EncodeToString([]byte(password))} {
			require.False(s.t, bytes.Contains(data, []byte(text)), "%s has it in plain text", path)
		}
		return err
	}))
	require.NotZero(s.t, files)
}

func TestASecretIsOpenedForTheClusterAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"db": "|text"})
	commit := s.commit(s.sealed(s.id.PublicKey()))
	s.start()
	s.until("runs", runs(commit))
	require.Contains(t, s.secret(), `"password":"`+password+`"`)
	s.nowhere()

	s.end()
	s.cluster = newFakeCluster() // lost, while no source answers
	require.NoError(t, os.Rename(s.repo.Dir, s.repo.Dir+"-gone"))
	s.start()
	s.until("what was confirmed is applied again", func(reconciler.Status) bool { return s.cluster.has("Secret/db") })
	require.Contains(t, s.secret(), password, "the ciphertext is kept with what was confirmed")
	s.nowhere()
}

func TestDriftOfASecretIsRepairedWithIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"db": "|text"})
	commit := s.commit(s.sealed(s.id.PublicKey()))
	s.start()
	s.until("runs", runs(commit))
	s.cluster.set(func(c *fakeCluster) { c.objects["Secret/db"] = []byte(`{}`) })
	s.cluster.drift <- reconciler.Drift{Layer: "db"}
	s.until("repaired", func(st reconciler.Status) bool { return st.Repairs > 0 })
	require.Contains(t, s.secret(), password)
}

func TestASecretForOthersStopsItsLayerAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"db": "|text"})
	stranger := newStage(t).id.PublicKey()
	s.commit(s.sealed(stranger))
	s.start()
	st := s.until("says so", fails(reconciler.PhaseApply, "open profiles/shop/addons/db/secret.yaml: no key fits"))
	require.Contains(t, st.Failures[0].Hint, ".sops.yaml")
	require.Empty(t, s.secret())

	commit := s.commit(s.sealed(s.id.PublicKey()))
	s.until("runs once it is encrypted to the host", runs(commit))
}

func TestWhatAClusterSaysOfASecretIsMasked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"db": "|text"})
	s.cluster.failing["db"] = errors.Join(&reconciler.ObjectError{Verb: "apply", Reason: "invalid value " + password + ": refused"}, errors.New("no "+password))
	s.commit(s.sealed(s.id.PublicKey()))
	s.start()
	s.until("refused", fails(reconciler.PhaseApply, "invalid value ***: refused\nno ***"))
	s.nowhere()
}

func TestWhyALayerWithASecretIsUnhealthyIsMasked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"db": "|text"})
	s.cluster.unhealthyWith, s.cluster.unhealthySays = "Secret/db", "the program said "+password
	files := s.sealed(s.id.PublicKey())
	files["profiles/shop/profile.yaml"] = strings.Replace(files["profiles/shop/profile.yaml"], "name: db", "name: db, timeout: 50ms", 1)
	s.commit(files)
	s.start()
	s.until("says so", fails(reconciler.PhaseApply, "the program said ***"))
	s.nowhere()
}

func TestWhatALayerWaitsForIsInTheStatusWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"db": "|text"})
	s.cluster.set(func(c *fakeCluster) {
		c.unhealthy["db"], c.unhealthySays = true, "cannot log in with "+password
	})
	s.commit(s.sealed(s.id.PublicKey()))
	s.start()
	s.until("it waits for an object", func(st reconciler.Status) bool {
		return len(st.Layers) == 1 && st.Layers[0].State == reconciler.LayerWaiting && len(st.Layers[0].Troubles) == 1
	})
	s.nowhere()
	st, err := reconciler.ReadStatus(s.dir)
	require.NoError(t, err)
	require.Equal(t, "Secret default/db", st.Layers[0].Troubles[0].String())
	require.Contains(t, st.Layers[0].Troubles[0].Why, "cannot log in with ")
}
