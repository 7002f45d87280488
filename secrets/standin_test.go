package secrets_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/secrets"
)

func TestACarriedDocumentHasItsShapeAndNothingEncrypted(t *testing.T) {
	t.Parallel()
	id, to := person(t)
	for file, plain := range map[string]string{
		"s.yaml": "# a note\npassword: hunter2\nlist:\n    - hunter3\n    - a_unencrypted: public\nempty: \"\"\nport_unencrypted: 5432\n",
		"s.json": "{\"password\":\"hunter2\",\"list\":[\"hunter3\"],\"port_unencrypted\":5432}",
		"s.env":  "# a note\npassword=hunter2\nempty=\n",
	} {
		data := encrypt(t, file, plain, secrets.Rule{Recipients: []string{to}})
		doc, err := secrets.Parse(file, data)
		require.NoError(t, err)
		carried, known, err := doc.Carried()
		require.NoError(t, err)
		require.NotContains(t, string(carried), "hunter")
		require.NotContains(t, string(carried), "lastmodified")
		opened := open(t, file, data, id)
		means, err := opened.StandIns()
		require.NoError(t, err)
		back := string(carried)
		for _, s := range known {
			require.True(t, secrets.IsStandIn(s))
			_, err := base64.StdEncoding.DecodeString(s)
			require.NoError(t, err)
			back = strings.ReplaceAll(back, s, means[s])
		}
		back = regexp.MustCompile(`#ENC\[.*\]`).ReplaceAllString(back, "# a note")
		require.Equal(t, content(t, opened), back, "the document, but for what is encrypted")
		require.Equal(t, content(t, opened), means[doc.StandIn()])
	}
}

func TestTheStandInOfAValueThatDidNotChangeStays(t *testing.T) {
	t.Parallel()
	id, to := person(t)
	data := encrypt(t, "s.yaml", "a: hunter1\nb: hunter2\n", secrets.Rule{Recipients: []string{to}})
	edited, err := open(t, "s.yaml", data, id).Edit([]byte("a: hunter1\nb: hunter9\n"), nil, noon)
	require.NoError(t, err)
	var lines [2][]string
	for i, data := range [][]byte{data, edited} {
		doc, err := secrets.Parse("s.yaml", data)
		require.NoError(t, err)
		carried, _, err := doc.Carried()
		require.NoError(t, err)
		lines[i] = strings.Split(string(carried), "\n")
	}
	require.Equal(t, lines[0][0], lines[1][0])
	require.NotEqual(t, lines[0][1], lines[1][1])
}

func TestADocumentThatIsNotWhollyEncryptedIsNotCarried(t *testing.T) {
	t.Parallel()
	_, to := person(t)
	data := encrypt(t, "s.yaml", "a: hunter1\nb: hunter2\n", secrets.Rule{Recipients: []string{to}})
	doc, err := secrets.Parse("s.yaml", regexp.MustCompile(`a: ENC.*`).ReplaceAll(data, []byte("a: hunter1")))
	require.NoError(t, err)
	_, _, err = doc.Carried()
	require.ErrorContains(t, err, "the value of a is not encrypted")
	require.NotContains(t, err.Error(), "hunter")
}

func TestWhatIsShownHasNoSecrets(t *testing.T) {
	t.Parallel()
	long := "-----BEGIN KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n"
	for _, tt := range []struct{ name, text, want string }{
		{"whole", "it is hunter2.", "it is ***."},
		{"twice", "hunter2, hunter2", "***, ***"},
		{"in base64", "aHVudGVyMg==!", "***!"},
		{"a piece of a long one", "value MIGHAgEAMBMGByqGSM49 … is bad", "value *** … is bad"},
		{"nothing", "as it was", "as it was"},
		{"other letters", "für hunter2 …", "für *** …"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, secrets.Mask(tt.text, []string{"hunter2", long, ""}))
		})
	}
}
