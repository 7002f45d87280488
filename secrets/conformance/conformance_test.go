package conformance

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/secrets"
)

var update = flag.Bool("update", false, "let sops write ../testdata/golden anew")

// program is sops.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	out, err := exec.Command("go", "tool", "-n", "sops").Output()
	if err != nil {
		panic("build sops: " + err.Error())
	}
	program = strings.TrimSpace(string(out))
	os.Exit(m.Run())
}

// sops runs it in dir, with the private key of which.
func sops(t *testing.T, which, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"--disable-version-check"}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), which + "=" + abs(t, keyFiles[which])}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		t.Logf("sops %v: %s", args, stderr.String())
	}
	return stdout.String(), err
}

func must(t *testing.T, which, dir string, args ...string) string {
	t.Helper()
	out, err := sops(t, which, dir, args...)
	require.NoError(t, err)
	return out
}

const (
	ageKey = "SOPS_AGE_KEY_FILE"
	sshKey = "SOPS_AGE_SSH_PRIVATE_KEY_FILE"
)

var keyFiles = map[string]string{ageKey: "../testdata/age.txt", sshKey: "../testdata/host_key"}

func abs(t *testing.T, file string) string {
	t.Helper()
	file, err := filepath.Abs(file)
	require.NoError(t, err)
	return file
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return data
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, data, 0o600))
}

func recipients(t *testing.T) (person, host string) {
	t.Helper()
	_, person, _ = strings.Cut(string(read(t, keyFiles[ageKey])), "public key: ")
	person, _, _ = strings.Cut(person, "\n")
	words := strings.Fields(string(read(t, keyFiles[sshKey]+".pub")))
	return person, words[0] + " " + words[1]
}

func identity(t *testing.T, which string) []secrets.Identity {
	t.Helper()
	ids, err := secrets.ParseIdentities(which, read(t, keyFiles[which]))
	require.NoError(t, err)
	return ids
}

func opened(t *testing.T, file string, data []byte, which string) (*secrets.Plaintext, string) {
	t.Helper()
	doc, err := secrets.Parse(file, data)
	require.NoError(t, err)
	plain, err := doc.Open(identity(t, which)...)
	require.NoError(t, err)
	text, err := plain.Bytes()
	require.NoError(t, err)
	return plain, string(text)
}

// options are the ways to choose what is encrypted.
var options = map[string]struct {
	secrets.Selection
	only string // the file that it is for, if not all
}{
	"all":                       {},
	"encrypted-regex":           {secrets.Selection{EncryptedRegex: "^(data|PASSWORD)$"}, ""},
	"unencrypted-regex":         {secrets.Selection{UnencryptedRegex: "^(port|list|users|EMPTY)$"}, ""},
	"encrypted-suffix":          {secrets.Selection{EncryptedSuffix: "_secret"}, ""},
	"unencrypted-suffix":        {secrets.Selection{UnencryptedSuffix: "_secret"}, ""},
	"mac-only-encrypted":        {secrets.Selection{EncryptedSuffix: "_secret", MACOnlyEncrypted: true}, ""},
	"encrypted-comment-regex":   {secrets.Selection{EncryptedCommentRegex: "secret"}, "plain.yaml"},
	"unencrypted-comment-regex": {secrets.Selection{UnencryptedCommentRegex: "first"}, "plain.yaml"},
}

// config is a .sops.yaml with one rule.
func config(s secrets.Selection, recipients string) []byte {
	return fmt.Appendf(nil, "creation_rules:\n  - age: %q\n    unencrypted_suffix: %q\n    encrypted_suffix: %q\n    unencrypted_regex: %q\n"+
		"    encrypted_regex: %q\n    unencrypted_comment_regex: %q\n    encrypted_comment_regex: %q\n    mac_only_encrypted: %t\n",
		recipients, s.UnencryptedSuffix, s.EncryptedSuffix, s.UnencryptedRegex,
		s.EncryptedRegex, s.UnencryptedCommentRegex, s.EncryptedCommentRegex, s.MACOnlyEncrypted)
}

// eachCase runs do for each format and each option that makes sense for it.
func eachCase(t *testing.T, do func(t *testing.T, name, file string, selection secrets.Selection)) {
	t.Helper()
	for _, file := range []string{"plain.yaml", "plain.json", "plain.env", "plain.bin"} {
		for name, o := range options {
			if o.only != "" && o.only != file || file == "plain.bin" && name != "all" {
				continue
			}
			t.Run(file+" "+name, func(t *testing.T) {
				t.Parallel()
				do(t, name+filepath.Ext(file), file, o.Selection)
			})
		}
	}
}

func TestWhatSopsWritesOpens(t *testing.T) {
	t.Parallel()
	person, host := recipients(t)
	eachCase(t, func(t *testing.T, name, file string, selection secrets.Selection) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, name), read(t, "../testdata/"+file))
		write(t, filepath.Join(dir, ".sops.yaml"), config(selection, person+","+host))
		must(t, ageKey, dir, "encrypt", "-i", name)
		data := read(t, filepath.Join(dir, name))
		require.True(t, secrets.Detect(name, data))
		for which := range keyFiles {
			plain, text := opened(t, name, data, which)
			require.Equal(t, must(t, which, dir, "decrypt", name), text)

			again, err := plain.Edit([]byte(text), nil, time.Now())
			require.NoError(t, err)
			require.Equal(t, stable(data), stable(again), "ciphertext that need not change")
			write(t, filepath.Join(dir, "again"+filepath.Ext(name)), again)
			require.Equal(t, text, must(t, which, dir, "decrypt", "again"+filepath.Ext(name)))
		}
		if *update {
			write(t, "../testdata/golden/"+name, data)
			write(t, "../testdata/golden/"+name+".plain", []byte(must(t, ageKey, dir, "decrypt", name)))
		}
	})
}

// stable is what a document keeps if nothing in it changes.
func stable(data []byte) string {
	var kept []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if !strings.Contains(line, "lastmodified") && !strings.Contains(line, "mac") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func TestSopsOpensWhatIsWritten(t *testing.T) {
	t.Parallel()
	person, host := recipients(t)
	eachCase(t, func(t *testing.T, name, file string, selection secrets.Selection) {
		dir := t.TempDir()
		rule := secrets.Rule{Selection: selection, Recipients: []string{person, host}}
		data, err := secrets.Encrypt(name, read(t, "../testdata/"+file), rule, time.Now())
		require.NoError(t, err)
		plain, text := opened(t, name, data, sshKey)
		edited, err := plain.Edit([]byte(strings.Replace(text, "hunter3", "hunter9", 1)), nil, time.Now())
		require.NoError(t, err)
		rotated, err := plain.Rotate(rule, time.Now())
		require.NoError(t, err)
		for what, data := range map[string][]byte{"new": data, "edited": edited, "rotated": rotated} {
			file := what + filepath.Ext(name)
			write(t, filepath.Join(dir, file), data)
			_, want := opened(t, name, data, ageKey)
			for which := range keyFiles {
				require.Equal(t, want, must(t, which, dir, "decrypt", file), what)
			}
		}
	})
}

func TestSopsEditsWhatIsWritten(t *testing.T) {
	t.Parallel()
	person, host := recipients(t)
	dir := t.TempDir()
	data, err := secrets.Encrypt("a.yaml", read(t, "../testdata/plain.yaml"), secrets.Rule{Recipients: []string{person, host}}, time.Now())
	require.NoError(t, err)
	write(t, filepath.Join(dir, "a.yaml"), data)
	must(t, ageKey, dir, "set", "a.yaml", `["password"]`, `"hunter9"`)
	_, text := opened(t, "a.yaml", read(t, filepath.Join(dir, "a.yaml")), sshKey)
	require.Equal(t, strings.Replace(string(read(t, "../testdata/plain.yaml")), "hunter2", "hunter9", 1), text)
	must(t, ageKey, dir, "rotate", "-i", "a.yaml")
	_, again := opened(t, "a.yaml", read(t, filepath.Join(dir, "a.yaml")), sshKey)
	require.Equal(t, text, again)
}

func TestBothRefuseWhatWasChanged(t *testing.T) {
	t.Parallel()
	person, host := recipients(t)
	dir := t.TempDir()
	plain := "a: hunter1\nb: hunter2\nlist:\n    - hunter3\n    - hunter4\nc_unencrypted: public\n"
	ours, err := secrets.Encrypt("s.yaml", []byte(plain), secrets.Rule{Recipients: []string{person, host}}, time.Now())
	require.NoError(t, err)
	write(t, filepath.Join(dir, "theirs.yaml"), []byte(plain))
	must(t, ageKey, dir, "encrypt", "-i", "--age", person+","+host, "theirs.yaml")
	replace := func(old, with string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, with, 1) }
	}
	for name, change := range map[string]func(string) string{
		"an unencrypted value":  replace("public", "publik"),
		"a value left out":      func(s string) string { _, rest, _ := strings.Cut(s, "\n"); return rest },
		"a value moved":         replace("a: ENC", "d: ENC"),
		"two values of a list":  swapList,
		"a new value":           func(s string) string { return "d_unencrypted: more\n" + s },
		"a value in plain text": func(s string) string { _, rest, _ := strings.Cut(s, "\n"); return "a: hunter9\n" + rest },
		"an emptied value":      func(s string) string { _, rest, _ := strings.Cut(s, "\n"); return "a: \"\"\n" + rest },
		"the time":              replace(`lastmodified: "20`, `lastmodified: "19`),
		"a comment for a value": replace("type:str", "type:comment"),
		"what is encrypted":     replace("unencrypted_suffix: _unencrypted", "unencrypted_regex: ^a$"),
		"what the MAC is of":    replace("    version:", "    mac_only_encrypted: true\n    version:"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, data := range [][]byte{ours, read(t, filepath.Join(dir, "theirs.yaml"))} {
				changed := change(string(data))
				require.NotEqual(t, string(data), changed)
				file := strings.ReplaceAll(name, " ", "-") + ".yaml"
				write(t, filepath.Join(dir, file), []byte(changed))
				_, err := sops(t, ageKey, dir, "decrypt", file)
				require.Error(t, err, "sops opens it")
				doc, err := secrets.Parse(file, []byte(changed))
				require.NoError(t, err)
				_, err = doc.Open(identity(t, ageKey)...)
				require.ErrorIs(t, err, secrets.ErrMAC)
			}
		})
	}
}

func swapList(s string) string {
	lines := strings.Split(s, "\n")
	lines[3], lines[4] = lines[4], lines[3]
	return strings.Join(lines, "\n")
}

func TestRulesAreThoseOfSops(t *testing.T) {
	t.Parallel()
	person, host := recipients(t)
	dir := t.TempDir()
	config := `keys:
  - &person ` + person + `
  - &host ` + host + `
creation_rules:
  - path_regex: ^sites/a/
    encrypted_regex: ^data$
    age: >-
      ` + person + `,
      ` + host + `
  - path_regex: \.env$
    age: [*host, *person]
    unencrypted_suffix: _open
  - path_regex: json$
    key_groups:
      - merge: [{age: [*host]}]
        age: [*person]
    mac_only_encrypted: true
  - age: *person
`
	write(t, filepath.Join(dir, ".sops.yaml"), []byte(config))
	rules, err := secrets.ParseRules(".sops.yaml", []byte(config))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sites", "a"), 0o700))
	for name, plain := range map[string]string{
		"sites/a/s.yaml": "data: one\n", "sites/a/s.env": "data=one\n", "s.env": "A=one\nB_open=two\n", "s.json": `{"a":"one"}`, "s.yaml": "a: one\n",
	} {
		write(t, filepath.Join(dir, name), []byte(plain))
		must(t, ageKey, dir, "encrypt", "-i", name)
		theirs, err := secrets.Parse(name, read(t, filepath.Join(dir, name)))
		require.NoError(t, err)
		rule, err := rules.For(name)
		require.NoError(t, err)
		data, err := secrets.Encrypt(name, []byte(plain), rule, time.Now())
		require.NoError(t, err)
		ours, err := secrets.Parse(name, data)
		require.NoError(t, err)
		require.Equal(t, theirs.Recipients(), ours.Recipients(), name)
		require.Equal(t, shape(read(t, filepath.Join(dir, name))), shape(data), name)
	}
}

// shape is a document without what is random or new in it.
func shape(data []byte) string {
	var kept []string
	for line := range strings.SplitSeq(string(data), "\n") {
		before, _, sealed := strings.Cut(line, "ENC[")
		if sealed {
			line = before
		}
		if !strings.Contains(line, "lastmodified") && !strings.Contains(line, "version") && !strings.Contains(line, "enc") &&
			!strings.HasSuffix(line, "=") && (strings.Contains(line, ":") || strings.Contains(line, "=")) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func TestKeyGroupsAreRefused(t *testing.T) {
	t.Parallel()
	person, host := recipients(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".sops.yaml"), fmt.Appendf(nil, "creation_rules:\n  - key_groups:\n      - age: [%s]\n      - age: [%s]\n", person, host))
	write(t, filepath.Join(dir, "groups.yaml"), []byte("a: b\n"))
	must(t, ageKey, dir, "encrypt", "-i", "groups.yaml")
	data := read(t, filepath.Join(dir, "groups.yaml"))
	_, err := secrets.Parse("groups.yaml", data)
	require.ErrorContains(t, err, "2 key groups")
	if *update {
		write(t, "../testdata/groups.yaml", data)
	}
}
