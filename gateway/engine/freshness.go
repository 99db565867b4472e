package engine

import (
	"time"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"

	"github.com/souk-shop/souk/gateway/supergraph"
)

// MaxAge says for how long anybody may keep the answer, as long as it has no errors; 0 is not at all. It is the least that @cacheControl
// in the schema allows any of the answer's fields, and nothing as soon as one is the caller's own or not for everybody.
func (op *Operation) MaxAge() time.Duration { return op.document.maxAge }

// maxAge finds it for a normalised operation. A mutation is never kept, nor is what comes piece by piece.
func (e *Engine) maxAge(doc *ast.Document) time.Duration {
	f := freshness{doc: doc, hints: e.hints, types: e.prices}
	const unbounded = 1 << 30
	least := unbounded
	for _, op := range doc.OperationDefinitions {
		if op.OperationType != ast.OperationTypeQuery || !op.HasSelections {
			return 0
		}
		least = min(least, f.of(op.SelectionSet, string(e.client.Index.QueryTypeName), 0))
	}
	if least == unbounded {
		return 0
	}
	return time.Duration(least) * time.Second
}

type freshness struct {
	doc   *ast.Document
	hints supergraph.Hints
	types supergraph.Prices
}

// of is how long the fields of a selection set may be kept, on an object that may be for so long itself.
func (f *freshness) of(set int, on string, parent int) int {
	least := 1 << 30
	for _, sel := range f.doc.SelectionSets[set].SelectionRefs {
		switch s := f.doc.Selections[sel]; s.Kind {
		case ast.SelectionKindField:
			least = min(least, f.field(s.Ref, on, parent))
		case ast.SelectionKindInlineFragment:
			fragment := f.doc.InlineFragments[s.Ref]
			if !fragment.HasSelections {
				continue
			}
			within := on
			if name := f.doc.InlineFragmentTypeConditionNameString(s.Ref); name != "" {
				within = name
			}
			least = min(least, f.of(fragment.SelectionSet, within, parent))
		}
	}
	return least
}

func (f *freshness) field(ref int, on string, parent int) int {
	name := f.doc.FieldNameString(ref)
	if name == "__typename" {
		return 1 << 30
	}
	at := supergraph.Coordinate{Type: on, Field: name}
	hint, known := f.hints[at]
	if !known || hint.Private {
		return 0
	}
	own := hint.MaxAge
	if hint.Inherits {
		own = parent
	}
	if field := f.doc.Fields[ref]; own > 0 && field.HasSelections {
		own = min(own, f.of(field.SelectionSet, f.types[at].Returns, own))
	}
	return own
}
