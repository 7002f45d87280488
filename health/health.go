// Package health judges objects by expressions of people, written in CEL.
//
// An expression sees the live object as object, and says true or false:
//
//	object.status.phase == "Lit" && object.status.observedGeneration == object.metadata.generation
//
// What an expression costs is limited, so one from a repository can do no harm.
package health

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

const (
	// MaxText is how long an expression may be, in bytes.
	MaxText = 2048

	maxCost  = 1_000_000 // steps, about; far above what one object needs
	maxDepth = 50        // of nested parts
)

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	text    string
	program cel.Program
}

// environment is made when it is first needed: most sites have no expression.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("object", cel.DynType),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(4)),
		cel.ParserExpressionSizeLimit(MaxText),
		cel.ParserRecursionLimit(maxDepth),
	)
})

// Compile reads an expression. Its error says in one line what is wrong, and at which character.
func Compile(text string) (*Expression, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the expression has %d bytes, more than %d", len(text), MaxText)
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the expression is empty")
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if found := issues.Errors(); len(found) > 0 {
		at, message := found[0].Location, strings.Join(strings.Fields(found[0].Message), " ")
		message, _, _ = strings.Cut(message, " expecting {") // every token there is
		if at.Line() > 1 {
			return nil, fmt.Errorf("line %d, character %d: %s", at.Line(), at.Column()+1, message)
		}
		return nil, fmt.Errorf("character %d: %s", at.Column()+1, message)
	}
	if kind := ast.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("the expression is a %s, neither true nor false", kind)
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	return &Expression{text, program}, nil
}

func (e *Expression) String() string { return e.text }

// errNotBool is of an expression whose kind only an object shows.
var errNotBool = errors.New("it is neither true nor false")

// True evaluates the expression for an object. Fields that are not there are an
// error, as long as the expression does not ask for them by object.?field or has().
func (e *Expression) True(object map[string]any) (bool, error) {
	value, _, err := e.program.Eval(map[string]any{"object": object})
	if err != nil {
		return false, err
	}
	yes, ok := value.(types.Bool)
	if !ok {
		return false, errNotBool
	}
	return bool(yes), nil
}
