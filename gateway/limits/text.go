package limits

import (
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/lexer"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/lexer/keyword"
)

// Text looks at a document that nobody has parsed yet: parsers descend into brackets, and keep every token.
func (l Limits) Text(document string) error {
	l = l.withDefaults()
	var input ast.Input
	input.ResetInputString(document)
	var lex lexer.Lexer
	lex.SetInput(&input)
	for tokens, depth := 1, 0; ; tokens++ {
		switch lex.Read().Keyword {
		case keyword.EOF:
			return nil
		case keyword.LBRACE, keyword.LBRACK, keyword.LPAREN:
			if depth++; depth > l.Nesting {
				return &Exceeded{"levels of brackets", l.Nesting}
			}
		case keyword.RBRACE, keyword.RBRACK, keyword.RPAREN:
			depth--
		}
		if tokens > l.Tokens {
			return &Exceeded{"tokens", l.Tokens}
		}
	}
}
