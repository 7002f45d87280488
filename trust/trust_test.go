package trust_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

var payload = []byte("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\na commit\n")

func keyring(t *testing.T, files map[string]string) *trust.Keyring {
	t.Helper()
	raw := make(map[string][]byte)
	for name, content := range files {
		raw[name] = []byte(content)
	}
	k, err := trust.ParseKeyring(raw)
	require.NoError(t, err)
	return k
}

func makers() map[string]func(t *testing.T) *gitsourcetest.Key {
	pgp := func(algorithm string) func(t *testing.T) *gitsourcetest.Key {
		return func(t *testing.T) *gitsourcetest.Key {
			return gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "alice@example.com", Algorithm: algorithm})
		}
	}
	ssh := func(algorithm string) func(t *testing.T) *gitsourcetest.Key {
		return func(t *testing.T) *gitsourcetest.Key {
			return gitsourcetest.NewSSHKey(t, "alice@example.com", algorithm)
		}
	}
	return map[string]func(t *testing.T) *gitsourcetest.Key{
		"OpenPGP RSA-3072": pgp("rsa3072"), "OpenPGP ed25519": pgp("ed25519"), "OpenPGP nistp256": pgp("nistp256"),
		"SSH ed25519": ssh("ed25519"), "SSH ecdsa": ssh("ecdsa"), "SSH ecdsa-521": ssh("ecdsa-521"), "SSH rsa": ssh("rsa-3072"),
	}
}

func TestVerifyMatrix(t *testing.T) {
	t.Parallel()
	for name, make := range makers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alice, stranger := make(t), make(t)
			sig := alice.Sign(payload, "git")
			k := keyring(t, map[string]string{alice.File(): alice.Public()})
			require.Equal(t, []string{"alice@example.com"}, k.Names())

			signer, err := k.Verify(payload, sig, time.Now())
			require.NoError(t, err)
			require.Equal(t, "alice@example.com", signer.Name)
			require.Equal(t, alice.Fingerprint, signer.Key)

			_, err = k.Verify(payload, stranger.Sign(payload, "git"), time.Now())
			require.ErrorIs(t, err, trust.ErrUnknownSigner)
			_, err = k.Verify(append([]byte("x"), payload...), sig, time.Now())
			require.ErrorIs(t, err, trust.ErrBadSignature)
			_, err = k.Verify(payload, nil, time.Now())
			require.ErrorIs(t, err, trust.ErrUnsigned)
			_, err = k.Verify(payload, sig[:len(sig)/2], time.Now())
			require.ErrorIs(t, err, trust.ErrBadSignature)
			_, err = k.Verify(payload, []byte("I, Alice, approve"), time.Now())
			require.ErrorIs(t, err, trust.ErrBadSignature)
		})
	}
}

func TestVerifyOpenPGP(t *testing.T) {
	t.Parallel()
	created := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	mortal := gitsourcetest.OpenPGP{Email: "alice@example.com", Algorithm: "ed25519", Created: created, Lifetime: 48 * time.Hour}
	for _, tt := range []struct {
		name   string
		key    gitsourcetest.OpenPGP
		at     time.Time
		signAt time.Time
		with   []string
		revoke bool
		want   error
	}{
		{"an expired key still vouches for what was signed while it was valid", mortal, created.Add(time.Hour), created.Add(time.Hour), nil, false, nil},
		{"an expired key does not vouch for later commits", mortal, created.Add(72 * time.Hour), created.Add(time.Hour), nil, false, trust.ErrExpired},
		{"a clock behind the signature is no expiry", mortal, created.Add(-time.Hour), created.Add(time.Hour), nil, false, nil},
		{"a revoked key vouches for nothing, however old", gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "ed25519", Created: created}, created.Add(time.Hour), created.Add(time.Hour), nil, true, trust.ErrRevoked},
		{"RSA under 2048 bits is weak", gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "rsa1024"}, time.Time{}, time.Time{}, nil, false, trust.ErrWeak},
		{"DSA is weak", gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "dsa2048"}, time.Time{}, time.Time{}, nil, false, trust.ErrWeak},
		{"SHA-1 is weak", gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "rsa3072"}, time.Time{}, time.Time{}, []string{"--digest-algo", "SHA1"}, false, trust.ErrWeak},
		{"a key bound by SHA-1 is weak", gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "rsa3072", Options: []string{"--cert-digest-algo", "SHA1"}}, time.Time{}, time.Time{}, nil, false, trust.ErrWeak},
		{"a signature of text mode is not a commit's", gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "ed25519"}, time.Time{}, time.Time{}, []string{"--textmode"}, false, trust.ErrBadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := gitsourcetest.NewOpenPGPKey(t, tt.key)
			if !tt.signAt.IsZero() {
				key.SignAt(tt.signAt)
			}
			if tt.with != nil {
				key.SignWith(tt.with...)
			}
			sig := key.Sign(payload, "git")
			if tt.revoke {
				key.Revoke()
			}
			at := tt.at
			if at.IsZero() {
				at = time.Now()
			}
			_, err := keyring(t, map[string]string{"k.asc": key.Public()}).Verify(payload, sig, at)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestVerifyOpenPGPTwoKeysInOneFile(t *testing.T) {
	t.Parallel()
	a := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "ed25519"})
	b := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "b@example.com", Algorithm: "ed25519"})
	k := keyring(t, map[string]string{"k.asc": "Alice:\n" + a.Public() + "\nBob:\n" + b.Public()})
	signer, err := k.Verify(payload, b.Sign(payload, ""), time.Now())
	require.NoError(t, err)
	require.Equal(t, "b@example.com", signer.Name)
}

func TestARetiredKeyVouchesForNothingEither(t *testing.T) {
	t.Parallel()
	created := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	key := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "ed25519", Created: created})
	key.SignAt(created.Add(time.Hour))
	sig := key.Sign(payload, "git")
	key.Retire(created.Add(72 * time.Hour))
	k, before := keyring(t, map[string]string{"k.asc": key.Public()}), created.Add(2*time.Hour)
	_, err := k.Verify(payload, sig, before)
	require.ErrorIs(t, err, trust.ErrRevoked, "whoever has it can date what he signs before that")
	require.Error(t, trust.EveryKey(k).Satisfiable(k, before))
}

// Of two user IDs of the same age go-crypto believes one, each time another.
func TestTheStrictestUserIDDecidesWhenAKeyExpires(t *testing.T) {
	t.Parallel()
	created := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA256, Time: func() time.Time { return created }}
	key, err := openpgp.NewEntity("A", "", "a@example.com", config)
	require.NoError(t, err)
	require.NoError(t, key.AddUserId("B", "", "b@example.com", config))
	for name, id := range key.Identities {
		id.SelfSignature.IsPrimaryId = nil
		if strings.HasPrefix(name, "B") {
			hour := uint32(3600)
			id.SelfSignature.KeyLifetimeSecs = &hour
		}
		require.NoError(t, id.SelfSignature.SignUserId(id.UserId.Id, key.PrimaryKey, key.PrivateKey, config))
	}
	var public, sig bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	require.NoError(t, err)
	require.NoError(t, key.Serialize(w))
	require.NoError(t, w.Close())
	require.NoError(t, openpgp.ArmoredDetachSign(&sig, key, bytes.NewReader(payload), config))
	k := keyring(t, map[string]string{"k.asc": public.String() + "\n"})
	_, err = k.Verify(payload, sig.Bytes(), created.Add(time.Minute))
	require.NoError(t, err)
	for range 50 {
		_, err = k.Verify(payload, sig.Bytes(), created.Add(2*time.Hour))
		require.ErrorIs(t, err, trust.ErrExpired)
		require.Error(t, trust.EveryKey(k).Satisfiable(k, created.Add(2*time.Hour)))
	}
}

// Whoever looks at the first alone, or at the last, sees another signer.
func TestTwoSignaturesInOneArmorAreRefused(t *testing.T) {
	t.Parallel()
	a := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "ed25519"})
	b := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "b@example.com", Algorithm: "ed25519"})
	var both bytes.Buffer
	w, err := armor.Encode(&both, openpgp.SignatureType, nil)
	require.NoError(t, err)
	for _, key := range []*gitsourcetest.Key{a, b} {
		block, err := armor.Decode(bytes.NewReader(key.Sign(payload, "")))
		require.NoError(t, err)
		_, err = io.Copy(w, block.Body)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	_, err = keyring(t, map[string]string{"k.asc": a.Public() + b.Public()}).Verify(payload, both.Bytes(), time.Now())
	require.ErrorIs(t, err, trust.ErrBadSignature)
}

func TestLargeSignaturesAreRefused(t *testing.T) {
	t.Parallel()
	key := gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519")
	k, sig := keyring(t, map[string]string{"s": key.Public()}), key.Sign(payload, "git")
	for _, size := range []int{1 << 10, 64 << 10} {
		_, err := k.Verify(payload, append(bytes.Clone(sig), bytes.Repeat([]byte("\n"), size)...), time.Now())
		if size < 64<<10 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, trust.ErrBadSignature)
		}
	}
}

func TestVerifySSH(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, algorithm, options, namespace string
		want                                error
	}{
		{"no options allow everything", "ed25519", "", "git", nil},
		{"a signature of another namespace is refused", "ed25519", "", "file", trust.ErrBadSignature},
		{"a key for git", "ed25519", `namespaces="git"`, "git", nil},
		{"a key for several namespaces, by pattern", "ed25519", `namespaces="file,g*t"`, "git", nil},
		{"a key that is not for git", "ed25519", `namespaces="file"`, "git", trust.ErrUnknownSigner},
		{"a key that is for all but git", "ed25519", `namespaces="*,!git"`, "git", trust.ErrUnknownSigner},
		{"within its time", "ed25519", `valid-after="20260615Z",valid-before="202606151201Z"`, "git", nil},
		{"before its time", "ed25519", `valid-after="20260616"`, "git", trust.ErrExpired},
		{"after its time", "ed25519", `valid-before="20260615115959"`, "git", trust.ErrExpired},
		{"RSA of 1024 bits", "rsa-1024", "", "git", trust.ErrWeak},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := gitsourcetest.NewSSHKey(t, "alice@example.com", tt.algorithm)
			k := keyring(t, map[string]string{"allowed_signers": key.AllowedSigner(tt.options)})
			_, err := k.Verify(payload, key.Sign(payload, tt.namespace), at)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
		})
	}
}

// ssh-keygen cannot make such signatures any more.
func TestVerifySSHSignatureOverSHA1IsWeak(t *testing.T) {
	t.Parallel()
	key := gitsourcetest.NewSSHKey(t, "alice@example.com", "rsa-3072")
	pem, err := os.ReadFile(key.PrivateFile())
	require.NoError(t, err)
	private, err := ssh.ParsePrivateKey(pem)
	require.NoError(t, err)
	sig, err := sshsig.Sign(bytes.NewReader(payload), private, sshsig.HashSHA512, "git")
	require.NoError(t, err)
	sig.Signature, err = private.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, payload, ssh.KeyAlgoRSA)
	require.NoError(t, err)
	_, err = keyring(t, map[string]string{"s": key.Public()}).Verify(payload, sshsig.Armor(sig), time.Now())
	require.ErrorIs(t, err, trust.ErrWeak)

	sig.HashAlgorithm = "sha1"
	sig.Signature.Format = ssh.KeyAlgoRSASHA512
	_, err = keyring(t, map[string]string{"s": key.Public()}).Verify(payload, sshsig.Armor(sig), time.Now())
	require.ErrorIs(t, err, trust.ErrWeak)
}
