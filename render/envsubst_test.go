package render

import (
	"fmt"
	"testing"

	"github.com/fluxcd/pkg/envsubst"
	"github.com/stretchr/testify/require"
)

// byEnvsubst is what envsubst, as Flux runs it, makes of a text with the same variables.
func byEnvsubst(v variables, text string) (string, error) {
	return envsubst.Eval(text, func(name string) (string, bool) {
		value, ok := v.values[name]
		if !ok {
			return "", false
		}
		return fmt.Sprint(value), true
	})
}

// What both take means the same, but for the type of a scalar that is only a variable.
func TestVariablesAreThoseOfEnvsubst(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"hello", "", "a b", "${COUNT}", "$${COUNT}", "}", "\\", "\"quoted\"", "line\nline", "日本語", "$", "a:=b"} {
		v := someVariables(value)
		for _, text := range []string{
			"", "plain", "ünï→", "$", "$ {TEXT}", "$(TEXT)", "a } b", "{TEXT}", "#{TEXT}", "\n", "\t ${TEXT} \t",
			"${TEXT}", "${COUNT}", "${OPEN}", "a${TEXT}", "${TEXT}b", "a ${TEXT} b ${COUNT} c ${OPEN} d", "${TEXT}${TEXT}", "<${TEXT}>", "$(${TEXT})",
			"${UNSET:=other}", "${UNSET:=a b}", "${UNSET:=1.2-rc.3}", "${UNSET:=http://x/y?z=1&a=b}", "x${UNSET:=a}y${UNSET:=b}z", "${UNSETCOUNT:=7}", "${COUNT:=7}", "${OPEN:=false}",
			"$${TEXT}", "a $${TEXT} b", "$${TEXT}${TEXT}", "$${TEXT}$${COUNT}", "$${UNSET:=x}",
		} {
			got, err := v.text(text)
			require.NoError(t, err, text)
			want, err := byEnvsubst(v, text)
			require.NoError(t, err, text)
			require.Equal(t, want, fmt.Sprint(got), "%s with %q", text, value)
		}
	}
}

// What both refuse, and what envsubst takes for something that a typed, declared
// variable is not: a part of it, another case, a default that is not written as ":=".
func TestFormsOfEnvsubstThatAreRefused(t *testing.T) {
	t.Parallel()
	v := someVariables("hello")
	for _, text := range []string{
		"${UNSET}", "${", "${TEXT", "${}", "a ${", "${UNDECLARED}", "${UNDECLARED:=x}",
		"${TEXT:-x}", "${TEXT-x}", "${TEXT=x}", "${TEXT:+x}", "${TEXT+x}", "${TEXT:?x}", "${TEXT?x}",
		"${#TEXT}", "${TEXT^}", "${TEXT^^}", "${TEXT,}", "${TEXT,,}", "${TEXT:1}", "${TEXT:1:2}", "${TEXT#h}", "${TEXT##h}", "${TEXT%o}", "${TEXT%%o}",
		"${TEXT/l/L}", "${TEXT//l/L}", "${TEXT/#h/H}", "${TEXT/%o/O}", "${TEXT:=${COUNT}}", "${UNSET:=${TEXT}}", "${UNSET:=a ${TEXT} b}", "${UNSET:=$${TEXT}}", "${${TEXT}}", "${ TEXT }", "${TEXT }",
	} {
		got, err := v.text(text)
		require.Error(t, err, text)
		require.Nil(t, got, text)
	}
}
