package review

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnotherProfileIsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ old, current, want string }{
		{"web-shop", "kiosk", "web-shop → kiosk"},
		{"web-shop", "web-shop at v1 (0123456789ab)", "web-shop → web-shop at v1 (0123456789ab)"},
		{"web-shop at v1 (0123456789ab)", "web-shop at v2 (ba9876543210)", "web-shop v1 (0123456789ab) → v2 (ba9876543210)"},
		{"web-shop at v1 (0123456789ab)", "kiosk at v1 (0123456789ab)", "web-shop at v1 (0123456789ab) → kiosk at v1 (0123456789ab)"},
	} {
		c := Change{Kind: Profile, Object: "profile", Fields: []Field{{Path: "spec.profile", Old: encode(tt.old), New: encode(tt.current)}}}
		require.Equal(t, tt.want, c.title())
	}
}
