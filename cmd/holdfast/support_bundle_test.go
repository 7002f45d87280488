package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/events"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
	"github.com/holdfast-fleet/holdfast/support"
)

// unpack returns the files of an archive, by their names without the folder, and
// which is the first.
func unpack(t *testing.T, path string) (files map[string]string, first string) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	zip, err := gzip.NewReader(file)
	require.NoError(t, err)
	files = map[string]string{}
	for in := tar.NewReader(zip); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, first
		}
		require.NoError(t, err)
		require.EqualValues(t, 0o600, header.Mode)
		data, err := io.ReadAll(in)
		require.NoError(t, err)
		_, name, _ := strings.Cut(header.Name, "/")
		if first == "" {
			first = name
		}
		files[name] = string(data)
	}
}

// forms are how a secret may be written.
func forms(secret string) []string {
	quoted, _ := json.Marshal(secret)
	return []string{
		secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
}

// sealedDocument is a Secret that only the holder of the key can open.
func sealedDocument(t *testing.T, file, password, to string) string {
	t.Helper()
	plain := "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: " + password + "}\n"
	data, err := secrets.Encrypt(file, []byte(plain), secrets.Rule{Recipients: []string{to}, Selection: secrets.Selection{EncryptedRegex: "^stringData$"}}, time.Now())
	require.NoError(t, err)
	return string(data)
}

// TestASupportBundleHoldsNoSecret plants secrets wherever the agent has some, lets its
// status and its log speak of each, in every form, and looks for them in the bundle.
func TestASupportBundleHoldsNoSecret(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id, err := identity.Load(filepath.Join(h.data, "identity"))
	require.NoError(t, err)
	h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: map[string]string{
		"sites/git.sops.yaml": sealedDocument(t, "sites/git.sops.yaml", "tok-of-the-source/9+8=", id.PublicKey())}})
	h.start()
	_, err = h.sync(h.bundle("fleet.bundle"))
	require.NoError(t, err)
	h.accepts(h.repo.Head())
	h.stop()

	planted := map[string]string{
		"in a sealed layer": "correct horse \"battery\" & staple", "a token": "a-token+of/a=source", "a password": "pässword of a proxy",
		"in a URL": "hunter22-in-url", "a token of the cluster": "token-of-the-cluster", "a client key": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPlantedKeyLine\n-----END EC PRIVATE KEY-----",
		"of a source, by commit": "tok-of-the-source/9+8=",
	}
	write := func(name, text string) string {
		path := filepath.Join(h.dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	config := write("agent.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: AgentConfig\nspec:\n  sources:\n  - git: https://git.example.com/fleet.git\n    tokenFile: "+write("token", planted["a token"]+"\n")+
		"\n    proxy: http://me:"+planted["in a URL"]+"@proxy.example.com\n  - git: https://other.example.com/fleet.git\n    username: me\n    passwordFile: "+write("password", planted["a password"])+"\n")
	kubeconfig := write("kubeconfig", `{"users":[{"user":{"token":"`+planted["a token of the cluster"]+`","client-key-data":"`+base64.StdEncoding.EncodeToString([]byte(planted["a client key"]))+`"}}]}`)
	sealed := map[string][]byte{"db.yaml": []byte(sealedDocument(t, "db.yaml", `'`+planted["in a sealed layer"]+`'`, id.PublicKey()))}
	confirmed, err := json.Marshal(map[string]any{"commit": map[string]any{"revision": h.repo.Head()}, "desired": map[string]any{
		"site": "a", "cluster": map[string]any{"layers": []any{map[string]any{"name": "db", "sealed": sealed, "objects": []any{}}}}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(h.data, "confirmed.json"), confirmed, 0o600))

	unknown := []string{
		"AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "abcdef.0123456789abcdef",
		"https://someone:s3cr3t-in-url@git.example.com", "Authorization: Bearer sesame-open-9", `password: "open sesame"`, `{"apiToken":"nobody-told-me"}`,
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
	}
	st, err := reconciler.ReadStatus(h.data)
	require.NoError(t, err)
	st.Kubeconfig = kubeconfig
	log := events.Open(h.data)
	said := 0
	say := func(text string) {
		said++
		st.Failures = append(st.Failures, reconciler.Failure{Phase: reconciler.PhaseApply, Message: "it said " + text + ", and ended"})
		require.NoError(t, log.Append(events.Event{At: time.Now(), What: "phase stopped", Facts: map[string]string{"error": "it said " + text + ", and ended"}}))
	}
	for _, secret := range planted {
		for _, form := range forms(secret) {
			say(form)
		}
	}
	for _, text := range unknown {
		say(text)
	}
	for line := range strings.Lines(string(hostKey(t, h.data))) {
		say(strings.TrimSpace(line))
	}
	require.NoError(t, log.Close())
	writeStatus(t, h.data, st)

	out := filepath.Join(h.dir, "support.tar.gz")
	said1, err := h.holdfast("support-bundle", "--data-dir", h.data, "--config", config, "-o", out)
	require.NoError(t, err)
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode())
	files, first := unpack(t, out)
	require.Equal(t, support.ListFile, first)
	require.Contains(t, said1, files[support.ListFile], "it says what is in it")
	require.GreaterOrEqual(t, strings.Count(files["events.jsonl"], "it said"), said, "all of it was packed")
	require.Contains(t, files["status.txt"], "it said "+support.Redacted)
	require.Contains(t, files["agent.yaml"], "tokenFile: ")
	require.Contains(t, files["cluster.txt"]+files[support.ListFile], "cluster.txt")
	require.Contains(t, files["confirmed.json"], `"name": "db"`)
	for name, text := range files {
		for what, secret := range planted {
			for _, form := range forms(secret) {
				require.NotContains(t, text, form, "%s: %s", name, what)
			}
		}
		for line := range strings.Lines(string(hostKey(t, h.data))) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
				require.NotContains(t, text, line, "%s: the host's key", name)
			}
		}
		for _, secret := range []string{"QQQQQQQQ", "c2lnbmF0dXJl", "0123456789abcdef", "s3cr3t-in-url", "sesame-open-9", "nobody-told-me", "b3BlbnNzaC1rZXk", "PlantedKeyLine"} {
			require.NotContains(t, text, secret, name)
		}
	}
}

func hostKey(t *testing.T, data string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "identity", "*"))
	require.NoError(t, err)
	for _, file := range files {
		if filepath.Ext(file) != ".pub" {
			key, err := os.ReadFile(file)
			require.NoError(t, err)
			return key
		}
	}
	t.Fatal("the host has no key")
	return nil
}
