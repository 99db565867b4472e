package engine

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astparser"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/operationreport"

	"github.com/souk-shop/souk/gateway/limits"
)

// Operation is a request that is known to be good: parsed, valid, planned, its variables checked.
type Operation struct {
	document  *document
	variables []byte
	cost      int
	draws     []Draw
}

// Name returns the operation's name, empty when it has none.
func (op *Operation) Name() string { return op.document.source.name }

// Kind returns what the operation does.
func (op *Operation) Kind() Kind { return op.document.source.kind }

// Deferred tells whether the answer comes in parts; such an operation is run by Incremental.
func (op *Operation) Deferred() bool { return op.document.plan.deferred() }

// Cost estimates the work the operation makes: its fields, each as many times as the lists around it are long. It is at least 1.
func (op *Operation) Cost() int { return op.cost }

// Prepare makes a request ready to run. The error is an Errors, or the context's.
func (e *Engine) Prepare(ctx context.Context, r Request) (*Operation, error) {
	key := digestOf(r.Query, r.OperationName)
	src, err := e.sources.get(ctx, key, func() (*source, error) { return e.read(r.Query, r.OperationName) })
	if err != nil {
		return nil, err
	}
	given, err := parseVariables(r.Variables)
	if err != nil {
		return nil, err
	}
	conditions, err := src.decide(given)
	if err != nil {
		return nil, err
	}
	doc, err := e.documents.get(ctx, digestOf(string(key[:]), conditions.key), func() (*document, error) {
		return e.prepare(src, conditions)
	})
	if err != nil {
		return nil, err
	}
	variables, draws, err := doc.bind(e.client, given)
	if err != nil {
		return nil, err
	}
	return &Operation{document: doc, variables: variables, cost: doc.bill.total(given), draws: draws}, nil
}

// A source is a document's text with the operation to run in it, found to be within the limits.
type source struct {
	text       string
	name       string
	kind       Kind
	conditions []condition
	introspect bool
}

func (s *source) bytes() int { return len(s.text) + 512 }

// read parses a document, refuses it when it is too large and finds the operation.
func (e *Engine) read(text, name string) (*source, error) {
	if err := e.limits.Text(text); err != nil {
		return nil, tooLarge(err)
	}
	doc, report := astparser.ParseGraphqlDocumentString(text)
	if report.HasErrors() {
		return nil, fromReport(e.log, report, CodeParse)
	}
	ref, err := pick(&doc, name)
	if err != nil {
		return nil, err
	}
	if err := e.limits.Operation(&doc, ref); err != nil {
		return nil, tooLarge(err)
	}
	if err := conflicts(&doc, e.client, ref); err != nil {
		return nil, err
	}
	return &source{
		text:       text,
		name:       strings.Clone(doc.OperationDefinitionNameString(ref)),
		kind:       kindOf(doc.OperationDefinitions[ref].OperationType),
		conditions: conditionsOf(&doc, ref),
		introspect: introspects(&doc),
	}, nil
}

// pick finds the operation to run.
func pick(doc *ast.Document, name string) (int, error) {
	found, n := -1, 0
	for _, node := range doc.RootNodes {
		if node.Kind != ast.NodeKindOperationDefinition {
			if node.Kind != ast.NodeKindFragmentDefinition {
				return 0, failure(CodeValidation, "a request holds operations and fragments, no type definitions")
			}
			continue
		}
		own := doc.OperationDefinitionNameString(node.Ref)
		if name == "" || own == name {
			found = node.Ref
			n++
		}
	}
	switch {
	case n == 1:
		return found, nil
	case n == 0 && name != "":
		return 0, failure(CodeValidation, "there is no operation named "+quoted(name)+" in the document")
	case n == 0:
		return 0, failure(CodeValidation, "the document holds no operation")
	case name != "":
		return 0, failure(CodeValidation, "there are several operations named "+quoted(name)+" in the document")
	}
	return 0, failure(CodeValidation, "the document holds several operations; name one in operationName")
}

// introspects tells whether a document asks about the schema.
func introspects(doc *ast.Document) bool {
	for i := range doc.Fields {
		if n := doc.FieldNameString(i); n == "__schema" || n == "__type" {
			return true
		}
	}
	return false
}

func quoted(s string) string { return `"` + s + `"` }

func tooLarge(err error) error {
	var e *limits.Exceeded
	if errors.As(err, &e) {
		return failure(limits.Code, e.Error())
	}
	return failure(CodeValidation, err.Error())
}

// fromReport takes over the errors that the library found in a document; what it calls internal stays inside.
func fromReport(log *slog.Logger, r operationreport.Report, code string) Errors {
	var out Errors
	for _, x := range r.ExternalErrors {
		e := Error{Message: strings.TrimSpace(x.Message), Extensions: map[string]any{"code": code}}
		for _, l := range x.Locations {
			if l.Line > 0 && l.Column > 0 {
				e.Locations = append(e.Locations, Location{Line: int(l.Line), Column: int(l.Column)})
			}
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		log.Error("gateway: preparing failed", "errors", r.InternalErrors)
		return internal()
	}
	return out
}
