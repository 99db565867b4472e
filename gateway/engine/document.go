package engine

import (
	"bytes"
	"time"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astnormalization"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astparser"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astprinter"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astvalidation"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/operationreport"
)

// A document is a source made ready for one outcome of its @skip and @include conditions, whatever its other variables
// are worth: literals have become variables, names are canonical, and it has a plan.
type document struct {
	source    *source
	declared  *ast.Document     // the operation with the variables that a request may give
	variables []variable        // those
	names     map[string]string // of the plan's variables: canonical → as below
	literals  map[string][]byte // values that the document itself gives, as JSON
	templates map[string]*template
	plan      *executable
	bill      bill
	drawers   []drawer
	maxAge    time.Duration
}

// bytes is a rough measure: the parsed operation is some times as large as its text.
func (d *document) bytes() int {
	n := len(d.source.text) + 8*len(d.declared.Input.RawBytes) + 4_096
	for _, v := range d.literals {
		n += len(v)
	}
	return n
}

// prepare normalises, validates and plans a source. Planning may be shared with other documents that mean the same.
func (e *Engine) prepare(src *source, conditions decision) (*document, error) {
	if src.introspect && !e.introspect {
		return nil, failure(CodeValidation, "introspection is switched off")
	}
	doc, report := astparser.ParseGraphqlDocumentString(src.text)
	if report.HasErrors() {
		return nil, fromReport(e.log, report, CodeParse)
	}
	doc.Input.Variables = conditions.variables
	normalise(&doc, e.client, src.name, &report)
	if report.HasErrors() {
		return nil, fromReport(e.log, report, CodeValidation)
	}
	if astvalidation.DefaultOperationValidator().Validate(&doc, e.client, &report); report.HasErrors() {
		return nil, fromReport(e.log, report, CodeValidation)
	}
	dropDirectives(&doc)
	d := &document{source: src}
	if err := d.readDeclared(&doc); err != nil {
		return nil, err
	}
	d.bill, d.maxAge = e.price(&doc), e.maxAge(&doc)
	var err error
	if d.drawers, err = e.drawers(&doc); err != nil {
		return nil, err
	}
	if d.templates = lift(&doc, e.client, &report); report.HasErrors() {
		return nil, fromReport(e.log, report, CodeInput)
	}
	doc.Input.Variables = []byte("{}")
	if astnormalization.NewVariablesNormalizer().NormalizeOperation(&doc, e.client, &report); report.HasErrors() {
		return nil, fromReport(e.log, report, CodeInput)
	}
	literals := doc.Input.Variables
	if undeclare(&doc, e.client, &report); report.HasErrors() {
		return nil, fromReport(e.log, report, CodeValidation)
	}
	if d.names = astnormalization.NewVariablesMapper().NormalizeOperation(&doc, e.client, &report); report.HasErrors() {
		return nil, fromReport(e.log, report, CodeValidation)
	}
	doc.Input.Variables = nil
	if err := d.readLiterals(literals); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := astprinter.Print(&doc, &text); err != nil {
		return nil, internal()
	}
	d.plan, err = e.planner.plan(text.String(), src.name)
	return d, err
}

// dropDirectives forgets those of the operation itself, such as @inContext: they speak to the gateway, which has listened, and
// say nothing about the plan. Besides, the printer loses the keyword of a nameless query that has some.
func dropDirectives(doc *ast.Document) {
	for i := range doc.OperationDefinitions {
		op := &doc.OperationDefinitions[i]
		op.HasDirectives, op.Directives.Refs = false, nil
	}
}

// normalise writes fragments and conditions out and drops every other operation.
func normalise(doc, schema *ast.Document, name string, report *operationreport.Report) {
	options := []astnormalization.Option{
		astnormalization.WithInlineFragmentSpreads(), astnormalization.WithRemoveFragmentDefinitions(),
		astnormalization.WithRemoveUnusedVariables(), astnormalization.WithEnableDefer(),
	}
	if name == "" { // then it is the only one
		astnormalization.NewWithOpts(options...).NormalizeOperation(doc, schema, report)
		return
	}
	options = append(options, astnormalization.WithRemoveNotMatchingOperationDefinitions())
	astnormalization.NewWithOpts(options...).NormalizeNamedOperation(doc, schema, []byte(name), report)
}
