package secrets_test

import (
	"crypto/ed25519"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/secrets"
)

// person has a key of age.
func person(t testing.TB) (secrets.Identity, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	ids, err := secrets.ParseIdentities("keys.txt", []byte("# a comment\n\n"+id.String()+"\n"))
	require.NoError(t, err)
	require.Len(t, ids, 1)
	return ids[0], id.Recipient().String()
}

// host has an ed25519 key of SSH.
func host(t testing.TB) (secrets.Identity, string, []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	id, err := secrets.HostIdentity(private)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	return id, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), pem.EncodeToMemory(block)
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func encrypt(t testing.TB, file, plain string, rule secrets.Rule) []byte {
	t.Helper()
	data, err := secrets.Encrypt(file, []byte(plain), rule, noon)
	require.NoError(t, err)
	return data
}

func open(t testing.TB, file string, data []byte, id secrets.Identity) *secrets.Plaintext {
	t.Helper()
	doc, err := secrets.Parse(file, data)
	require.NoError(t, err)
	plain, err := doc.Open(id)
	require.NoError(t, err)
	return plain
}

func content(t testing.TB, p *secrets.Plaintext) string {
	t.Helper()
	data, err := p.Bytes()
	require.NoError(t, err)
	return string(data)
}

// plainFiles has a document of each format, as the package itself would write it.
var plainFiles = map[string]string{
	"secret.yaml": `# of the tills
password: hunter2
port: 5432
ratio: 0.25
tls: true
since: 2024-01-02T03:04:05Z
nothing: null
empty: ""
note_unencrypted: for everybody
key: |
    -----BEGIN KEY-----
    abc
users:
    # the first
    - name: ann
      age: 42
    - name: bob # the second
lists:
    - []
    - - 1
      - 1
      - x
nested: {}
`,
	"secret.json": "{\n\t\"password\": \"hunter2\",\n\t\"port\": 5432,\n\t\"ratio\": 0.25,\n\t\"tls\": true,\n\t\"none\": null,\n\t\"list\": [\n\t\t1,\n\t\t\"\\u003ca\\u003e\"\n\t]\n}\n",
	"secret.env":  "# of the tills\nPASSWORD=hunter2\nKEY=line one\\nline two\nEMPTY=\n",
	"secret.bin":  "\x00\x01\xff any bytes\nhunter2",
}

func TestWhatIsEncryptedOpensAgain(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	hostID, hostKey, _ := host(t)
	for file, plain := range plainFiles {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data := encrypt(t, file, plain, secrets.Rule{Recipients: []string{recipient, hostKey + " root@store"}})
			require.NotContains(t, string(data), "hunter2")
			require.True(t, secrets.Detect(file, data))
			require.False(t, secrets.Detect(file, []byte(plain)))
			for _, id := range []secrets.Identity{id, hostID} {
				opened := open(t, file, data, id)
				require.Equal(t, plain, content(t, opened))
				require.Contains(t, strings.Join(opened.Secrets(), "\n"), "hunter2")
			}
			doc, err := secrets.Parse(file, data)
			require.NoError(t, err)
			require.Equal(t, []string{recipient, hostKey}, doc.Recipients())
			require.True(t, doc.EncryptedTo(hostKey+" some comment"))
			require.Regexp(t, "^sha256:[0-9a-f]{64}$", doc.Digest())
		})
	}
}

func TestValuesKeepTheirTypes(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	file := "secret.yaml"
	plain := open(t, file, encrypt(t, file, plainFiles[file], secrets.Rule{Recipients: []string{recipient}}), id)
	for path, want := range map[string]any{
		"password": "hunter2", "port": 5432, "ratio": 0.25, "tls": true, "nothing": nil, "empty": "",
		"since": time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), "users.0.age": 42, "lists.1.2": "x",
	} {
		got, found := plain.Lookup(strings.Split(path, ".")...)
		require.True(t, found, path)
		require.Equal(t, want, got, path)
	}
	_, found := plain.Lookup("users")
	require.False(t, found, "a list is no scalar")
}

// lines splits a document, without what each writing changes.
func lines(data []byte) []string {
	var kept []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if !strings.Contains(line, "lastmodified") && !strings.Contains(line, "mac") {
			kept = append(kept, line)
		}
	}
	return kept
}

func TestAnEditChangesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	for file, plain := range plainFiles {
		if file == "secret.bin" {
			continue // it has but one value
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data := encrypt(t, file, plain, secrets.Rule{Recipients: []string{recipient}})
			opened := open(t, file, data, id)
			same, err := opened.Edit([]byte(plain), nil, noon.Add(time.Hour))
			require.NoError(t, err)
			require.Equal(t, lines(data), lines(same))
			require.NotEqual(t, data, same, "the MAC is bound to the time")

			changed := strings.Replace(plain, "hunter2", "hunter3", 1)
			edited, err := opened.Edit([]byte(changed), nil, noon.Add(time.Hour))
			require.NoError(t, err)
			before, after := lines(data), lines(edited)
			require.Len(t, after, len(before))
			var differ int
			for i := range before {
				if before[i] != after[i] {
					differ++
				}
			}
			require.Equal(t, 1, differ)
			require.Equal(t, changed, content(t, open(t, file, edited, id)))
		})
	}
}

func TestRotationShutsOut(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	other, otherRecipient := person(t)
	file := "secret.yaml"
	data := encrypt(t, file, plainFiles[file], secrets.Rule{Recipients: []string{recipient, otherRecipient}})
	rotated, err := open(t, file, data, other).Rotate(secrets.Rule{Recipients: []string{recipient}}, noon)
	require.NoError(t, err)
	require.Equal(t, plainFiles[file], content(t, open(t, file, rotated, id)))
	doc, err := secrets.Parse(file, rotated)
	require.NoError(t, err)
	require.Equal(t, []string{recipient}, doc.Recipients())
	_, err = doc.Open(other)
	require.ErrorIs(t, err, secrets.ErrNoIdentity)
	for _, line := range strings.Split(string(data), "\n") {
		if strings.Contains(line, "ENC[") {
			require.NotContains(t, string(rotated), line, "a value under the old key")
		}
	}
}

func TestPrivateKeysOfSSHOpen(t *testing.T) {
	t.Parallel()
	_, key, private := host(t)
	ids, err := secrets.ParseIdentities("host_key", private)
	require.NoError(t, err)
	data := encrypt(t, "a.env", "A=b\n", secrets.Rule{Recipients: []string{key}})
	require.Equal(t, "A=b\n", content(t, open(t, "a.env", data, ids[0])))
}

func TestSelections(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	const plain = "apiVersion: v1\ndata:\n    password: one\n    user_plain: two\n    token_secret: three\n"
	for _, tt := range []struct {
		name string
		secrets.Selection
		encrypted string // the words that are not readable
	}{
		{"everything, without a rule", secrets.Selection{}, "v1 one two three"},
		{"keys that match, and what is below", secrets.Selection{EncryptedRegex: "^(data|stringData)$"}, "one two three"},
		{"all but what matches", secrets.Selection{UnencryptedRegex: "^(apiVersion|password)$"}, "two three"},
		{"keys with an ending", secrets.Selection{EncryptedSuffix: "_secret"}, "three"},
		{"all but keys with an ending", secrets.Selection{UnencryptedSuffix: "_plain"}, "v1 one three"},
		{"with a MAC over that alone", secrets.Selection{EncryptedRegex: "^data$", MACOnlyEncrypted: true}, "one two three"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := encrypt(t, "s.yaml", plain, secrets.Rule{Selection: tt.Selection, Recipients: []string{recipient}})
			for _, word := range []string{"v1", "one", "two", "three"} {
				hidden := !strings.Contains(string(data), ": "+word+"\n")
				require.Equal(t, strings.Contains(" "+tt.encrypted+" ", " "+word+" "), hidden, "%s in\n%s", word, data)
			}
			require.Equal(t, plain, content(t, open(t, "s.yaml", data, id)))

			changed := strings.Replace(string(data), "apiVersion: v1", "apiVersion: v2", 1)
			if changed != string(data) {
				doc, err := secrets.Parse("s.yaml", []byte(changed))
				require.NoError(t, err)
				_, err = doc.Open(id)
				if tt.MACOnlyEncrypted {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, secrets.ErrMAC)
				}
			}
		})
	}
}

func TestCommentsMaySelect(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	const plain = "a: one\n# secret: the next\nb: two\nc: three\nlist:\n    # secret too\n    - four\n    - five\n"
	data := encrypt(t, "s.yaml", plain, secrets.Rule{
		Selection: secrets.Selection{EncryptedCommentRegex: "secret"}, Recipients: []string{recipient}})
	for word, hidden := range map[string]bool{"one": false, "two": true, "three": false, "four": true, "five": false} {
		require.Equal(t, hidden, !strings.Contains(string(data), " "+word+"\n"), "%s in\n%s", word, data)
	}
	require.Equal(t, plain, content(t, open(t, "s.yaml", data, id)))
}
