package trust_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// key is public; its other half was thrown away.
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHDshBYRVkN4TPBYhBvGrXQsDDF2W9Op8B1UPMHMkkkk"

func TestParseAllowedSigners(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		names      []string
		want       string // of the error
	}{
		{"nothing", "", nil, ""},
		{"comments and empty lines", "# hello\n\n   # there\n\t\n", nil, ""},
		{"a comment behind a key", "a@x " + key + " Alice's laptop", []string{"a@x"}, ""},
		{"several principals", "a@x,b@x " + key, []string{"a@x"}, ""},
		{"patterns name nobody", "*@x,!c@x,b@x " + key, []string{"b@x"}, ""},
		{"only a pattern", "*@x " + key, []string{"*@x"}, ""},
		{"quoted principals", "\"Alice A,b@x\" " + key, []string{"Alice A"}, ""},
		{"tabs and carriage returns", "a@x\tnamespaces=\"git\"\t" + key + "\r\n", []string{"a@x"}, ""},
		{"options in capitals", "a@x NameSpaces=\"git, x\" " + key, []string{"a@x"}, ""},
		{"a certificate authority", "# x\na@x cert-authority " + key, nil, "f:2: cert-authority is not supported: list the keys themselves"},
		{"an authority among options", "a@x namespaces=\"git\",cert-authority " + key, nil, "f:1: cert-authority is not supported: list the keys themselves"},
		{"an unknown option", "a@x no-pty=\"x\" " + key, nil, "f:1: unknown option no-pty"},
		{"an option twice", "a@x namespaces=\"a\",namespaces=\"b\" " + key, nil, "f:1: option namespaces is given twice"},
		{"an option without quotes", "a@x namespaces=git " + key, nil, "f:1: option namespaces needs a value in double quotes"},
		{"an open quote", "a@x namespaces=\"git " + key, nil, "f:1: a quote is not closed"},
		{"an open quote of principals", "\"a@x " + key, nil, "f:1: a quote is not closed"},
		{"no time", "a@x valid-after=\"tomorrow\" " + key, nil, `f:1: time "tomorrow" is not YYYYMMDD or YYYYMMDDHHMM[SS], with an optional Z`},
		{"a month 13", "a@x valid-after=\"20261301\" " + key, nil, `f:1: time "20261301" is not YYYYMMDD or YYYYMMDDHHMM[SS], with an optional Z`},
		{"a time that is never", "a@x valid-after=\"20260102\",valid-before=\"20260101\" " + key, nil, "f:1: valid-after is not before valid-before"},
		{"no key", "a@x", nil, "f:1: a principal without a key"},
		{"no key behind options", "a@x namespaces=\"git\"", nil, `f:1: no key after "namespaces=\"git\""`},
		{"no base64", "a@x ssh-ed25519 !!!", nil, "f:1: ssh-ed25519 key is not base64"},
		{"another type than it says", strings.Replace("a@x "+key, "ssh-ed25519", "ssh-rsa", 1), nil, "f:1: the line says ssh-rsa, the key is ssh-ed25519"},
		{"an empty principal", "a@x,,b@x " + key, nil, "f:1: an empty principal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k, err := trust.ParseKeyring(map[string][]byte{"f": []byte(tt.text)})
			if tt.want != "" {
				require.EqualError(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.names, k.Names())
		})
	}
}

func TestCertificatesAreNoKeys(t *testing.T) {
	t.Parallel()
	authority := gitsourcetest.NewSSHKey(t, "ca@example.com", "ed25519").PrivateFile()
	file := gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519").PrivateFile()
	out, err := exec.Command("ssh-keygen", "-q", "-s", authority, "-I", "alice", "-n", "alice", file+".pub").CombinedOutput()
	require.NoError(t, err, "%s", out)
	certificate, err := os.ReadFile(file + "-cert.pub")
	require.NoError(t, err)
	_, err = trust.ParseKeyring(map[string][]byte{"f": append([]byte("alice@example.com "), certificate...)})
	require.EqualError(t, err, "f:1: certificates are not supported, only plain keys")
}

func TestParseOpenPGP(t *testing.T) {
	t.Parallel()
	public := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "a@example.com", Algorithm: "ed25519"}).Public()
	for _, tt := range []struct{ name, text, want string }{
		{"no block", "hello", "k.asc: holds no armored OpenPGP key"},
		{"no end", "\n\n" + public[:len(public)/2], "k.asc:3: armored block without an end"},
		{"no begin", "-----END PGP PUBLIC KEY BLOCK-----\n", "k.asc:1: end of an armored block without a begin"},
		{"a private key", "\n-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "k.asc:2: this is a private key"},
		{"rubbish inside", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n", "k.asc:1: read OpenPGP key: "},
		{"too large", strings.Repeat("x", 1<<20+1), "k.asc: file of keys is larger than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := trust.ParseKeyring(map[string][]byte{"k.asc": []byte(tt.text)})
			require.ErrorContains(t, err, tt.want)
			problem := new(trust.Problem)
			require.True(t, errors.As(err, &problem))
		})
	}
}

func FuzzAllowedSigners(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := trust.ParseKeyring(map[string][]byte{"f": data})
		if err == nil && k.Len() < len(k.Names()) {
			t.Fatal("more names than keys")
		}
	})
}

func FuzzOpenPGPKeys(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := trust.ParseKeyring(map[string][]byte{"f.asc": data})
		problem := new(trust.Problem)
		if err != nil && !errors.As(err, &problem) {
			t.Fatalf("no problem with a file: %v", err)
		}
	})
}

func FuzzSignature(f *testing.F) {
	k, err := trust.ParseKeyring(map[string][]byte{"f": []byte("a@x " + key + "\n")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if signer, err := k.Verify([]byte("a commit"), data, time.Unix(1_700_000_000, 0)); err == nil {
			t.Fatalf("forged a signature of %s", signer)
		}
	})
}

func TestFuzzSeedsExist(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FuzzAllowedSigners", "FuzzOpenPGPKeys", "FuzzPolicy", "FuzzSignature"} {
		seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", name))
		require.NoError(t, err)
		require.NotEmpty(t, seeds, name)
	}
}
