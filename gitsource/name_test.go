package gitsource

import (
	"crypto/sha1"
	"encoding/hex"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/pjbgf/sha1cd"
	"github.com/stretchr/testify/require"
)

// The first 320 bytes of the two documents of shattered.io: 192 that they share,
// and two blocks of which each document has its own.
const (
	shatteredHead = "255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970652034203020522f" +
		"537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e6774682038203020522f42697473506572" +
		"436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01"
	shattered1 = "7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d2" +
		"3c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1"
	shattered2 = "7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c2" +
		"30570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1"
)

// Behind the header of an object the pair does not collide, and what does would
// cost a fortune: so the raw pair goes where the bytes of an object go.
func TestBytesMadeForACollisionHaveNoName(t *testing.T) {
	t.Parallel()
	var plain [2][sha1.Size]byte
	for i, tail := range []string{shattered1, shattered2} {
		raw, err := hex.DecodeString(shatteredHead + tail)
		require.NoError(t, err)
		plain[i] = sha1.Sum(raw)

		sum := plumbing.NewHasher(plumbing.BlobObject, int64(len(raw))).Hash
		sum.Reset() // without the header
		_, err = sum.Write(raw)
		require.NoError(t, err)
		require.ErrorIs(t, checkNamed(plain[i], sum), errCollision)
		hardened := plumbing.Hash(sum.Sum(nil))
		require.NotEqual(t, plain[i], [sha1.Size]byte(hardened))
		err = checkNamed(hardened, sum)
		require.ErrorIs(t, err, errCollision, "nor the one that a hardened SHA-1 gives it")
		require.False(t, isDamage(err), "the mirror is not emptied for it")
	}
	require.Equal(t, plain[0], plain[1], "they do collide")
}

func TestANameIsCheckedByAHashThatSeesCollisions(t *testing.T) {
	t.Parallel()
	require.Error(t, checkNamed(plumbing.Hash(sha1.Sum(nil)), sha1.New()))
	sum := sha1cd.New()
	require.NoError(t, checkNamed(plumbing.Hash(sha1.Sum(nil)), sum))
	require.True(t, isDamage(checkNamed(plumbing.ZeroHash, sum)))
}
