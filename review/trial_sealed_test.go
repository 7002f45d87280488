package review_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// vault is what a layer of the kiosk keeps encrypted. PASSWORD is not in the
// form that the safe's schema wants once it is encrypted.
const vault = `
apiVersion: v1
kind: Secret
metadata: {name: registry, namespace: kiosk}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths":{"registry.example.com":{"auth":"PASSWORD"}}}'}
---
apiVersion: v1
kind: Secret
metadata: {name: tls, namespace: kiosk}
type: kubernetes.io/tls
stringData: {tls.crt: PASSWORD, tls.key: PASSWORD}
---
apiVersion: example.com/v1
kind: Safe
metadata: {name: office}
spec: {secret: PASSWORD, floor: 1}
---
apiVersion: example.com/v1
kind: Safe
metadata: {name: cellar}
spec: {secret: PASSWORD, floor: 2}
`

const safes = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: safes.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: Safe, plural: safes}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {secret: {type: string, pattern: "^[a-z]+$"}, floor: {type: integer, minimum: 1}}}}
`

// digests are of ciphertexts, which are never the same again.
var digests = regexp.MustCompile(`\b[0-9a-f]{12,}\b`)

// TestWhatIsEncryptedIsTriedByStandIns changes encrypted values, which nobody opens for it.
func TestWhatIsEncryptedIsTriedByStandIns(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.layer("safes", safes)
	e.layer("vault", sealedAs(t, vault, "correct"))
	base := e.repo.Commit(gitsourcetest.Commit{})
	e.layer("vault", sealedAs(t, replace(vault, "floor: 2", "floor: 0"), "horse"))
	c := e.serve(base, e.repo.Commit(gitsourcetest.Commit{}), 1)

	var text bytes.Buffer
	require.NoError(t, c.Text(&text, false))
	golden(t, "sealed.text.golden", digests.ReplaceAllString(text.String(), "DIGEST"))
	require.NotContains(t, text.String(), "correct")
	require.NotContains(t, text.String(), "horse")
}

func sealedAs(t *testing.T, text, password string) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	data, err := secrets.Encrypt("objects.yaml", []byte(strings.TrimSpace(replace(text, "PASSWORD", password))),
		secrets.Rule{Recipients: []string{id.Recipient().String()}, Selection: secrets.Selection{EncryptedRegex: "^(stringData|secret)$"}}, time.Now())
	require.NoError(t, err)
	return string(data)
}
