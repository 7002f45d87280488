package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnArchiveIsBoundedAndSaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	hide := new(Redactor)
	hide.Hide("open sesame")
	a := New(hide)
	a.Add("status.json", "status", []byte(`{"why":"open sesame"}`), nil)
	a.Add("empty", "nothing", nil, nil)
	a.Add("agent.log", "log", nil, errors.New("no journal for open sesame"))
	a.Add("big.log", "long log", []byte("begin\n-----BEGIN PRIVATE KEY-----\n"+strings.Repeat("x y\n", maxFile/2)+"-----END PRIVATE KEY-----\nend\n"), nil)
	for range 8 {
		a.Add("more", "too much", bytes.Repeat([]byte("y"), maxFile), nil)
	}
	list := a.List()
	require.Contains(t, list, "agent.log (log): no journal for "+Redacted)
	require.Contains(t, list, "(only its end)")
	require.Contains(t, list, "the archive would be too large")
	require.NotContains(t, list, "empty")
	var out bytes.Buffer
	require.NoError(t, a.Write(&out, "host", time.Now()))
	require.NotContains(t, out.String(), "sesame")
	zip, err := gzip.NewReader(&out)
	require.NoError(t, err)
	all, err := io.ReadAll(zip)
	require.NoError(t, err)
	require.Less(t, len(all), maxAll+1<<20)
	in := tar.NewReader(bytes.NewReader(all))
	header, err := in.Next()
	require.NoError(t, err)
	require.Equal(t, "host/"+ListFile, header.Name)
	_, err = in.Next()
	require.NoError(t, err)
	data, err := io.ReadAll(in)
	require.NoError(t, err)
	require.Equal(t, `{"why":"`+Redacted+`"}`, string(data))
	_, err = in.Next()
	require.NoError(t, err)
	data, err = io.ReadAll(in)
	require.NoError(t, err)
	require.Equal(t, "end\n", string(data), "no part of a key that is cut stays")
}

func TestWhatIsNoSecretStays(t *testing.T) {
	t.Parallel()
	hide := new(Redactor)
	hide.Hide("abc") // too short to be told from a word
	for _, text := range []string{
		"abc", "tokenFile: /etc/holdfast/token", "Secret default/db is NotFound", "https://git.example.com/fleet.git", "sha256:0123456789abcdef0123456789abcdef",
		"layer shop, digest 0123456789ab, to fedcba987654", "signed by alice@example.com (SHA256:YbrD06SqjG/yDkXDk2atwMTdWi/PEBlY2r0pmW6J2ww)",
	} {
		require.Equal(t, text, hide.Text(text))
	}
}
