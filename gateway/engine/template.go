package engine

import (
	"slices"

	"github.com/wundergraph/astjson"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astimport"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astvisitor"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/operationreport"
)

// A template is a value written in a document with variables inside, such as {name: $name, limit: 3}. The library would
// fill the variables in once for all requests; a template is filled in for each.
type template struct {
	literal  []byte // JSON, when nothing inside varies
	variable string
	fields   []templateField
	items    []template
	list     bool
}

type templateField struct {
	name  string
	value template
}

// fill returns the template's value, nil when it is a variable that has none. An object leaves such a field out; a list
// has a null in its place.
func (t *template) fill(variables *astjson.Value) *astjson.Value {
	switch {
	case t.variable != "":
		return variables.Get(t.variable)
	case t.literal != nil:
		return astjson.MustParseBytes(t.literal)
	case t.list:
		list := astjson.ArrayValue(nil)
		for i := range t.items {
			v := t.items[i].fill(variables)
			if v == nil {
				v = astjson.NullValue
			}
			list.SetArrayItem(nil, i, v)
		}
		return list
	}
	object := astjson.ObjectValue(nil)
	for i := range t.fields {
		if v := t.fields[i].value.fill(variables); v != nil {
			object.Set(nil, t.fields[i].name, v)
		}
	}
	return object
}

func templateOf(doc *ast.Document, v ast.Value) (template, error) {
	if v.Kind == ast.ValueKindVariable {
		return template{variable: string(doc.VariableValueNameBytes(v.Ref))}, nil
	}
	if !doc.ValueContainsVariable(v) {
		text, err := doc.ValueToJSON(v)
		return template{literal: escaped(text)}, err
	}
	if v.Kind == ast.ValueKindList {
		t := template{list: true}
		for _, ref := range doc.ListValues[v.Ref].Refs {
			item, err := templateOf(doc, doc.Values[ref])
			if err != nil {
				return t, err
			}
			t.items = append(t.items, item)
		}
		return t, nil
	}
	var t template
	for _, ref := range doc.ObjectValues[v.Ref].Refs {
		value, err := templateOf(doc, doc.ObjectFields[ref].Value)
		if err != nil {
			return t, err
		}
		t.fields = append(t.fields, templateField{name: string(doc.ObjectFieldNameBytes(ref)), value: value})
	}
	return t, nil
}

// lift replaces every argument that has variables inside its value by a variable of its own and returns their templates.
func lift(doc, schema *ast.Document, report *operationreport.Report) map[string]*template {
	walker := astvisitor.NewWalker(48)
	l := &lifter{Walker: &walker, doc: doc, schema: schema, templates: map[string]*template{}}
	walker.RegisterEnterArgumentVisitor(l)
	walker.Walk(doc, schema, report)
	return l.templates
}

type lifter struct {
	*astvisitor.Walker
	doc, schema *ast.Document
	importer    astimport.Importer
	templates   map[string]*template
}

// EnterArgument is called by the walker.
func (l *lifter) EnterArgument(ref int) {
	v := l.doc.Arguments[ref].Value
	if v.Kind == ast.ValueKindVariable || !l.doc.ValueContainsVariable(v) || len(l.Ancestors) == 0 {
		return
	}
	for _, a := range l.Ancestors {
		if a.Kind == ast.NodeKindDirective {
			return
		}
	}
	definition, ok := l.ArgumentInputValueDefinition(ref)
	if !ok {
		return
	}
	t, err := templateOf(l.doc, v)
	if err != nil {
		l.StopWithInternalErr(err)
		return
	}
	operation := l.Ancestors[0].Ref
	name := l.doc.GenerateUnusedVariableDefinitionName(operation)
	value := l.doc.AddVariableValue(ast.VariableValue{Name: l.doc.Input.AppendInputBytes(name)})
	typ := l.importer.ImportType(l.schema.InputValueDefinitions[definition].Type, l.schema, l.doc)
	l.doc.AddVariableDefinitionToOperationDefinition(operation, value, typ)
	l.doc.Arguments[ref].Value = ast.Value{Kind: ast.ValueKindVariable, Ref: value}
	l.templates[string(name)] = &t
}

// undeclare forgets the variables that are named nowhere any more, but in templates and directives that are gone: the mapper, which sees
// only the others, gives away their names.
func undeclare(doc, schema *ast.Document, report *operationreport.Report) {
	walker := astvisitor.NewWalker(48)
	n := &namer{doc: doc, named: map[string]bool{}}
	walker.RegisterEnterArgumentVisitor(n)
	walker.Walk(doc, schema, report)
	for i := range doc.OperationDefinitions {
		op := &doc.OperationDefinitions[i]
		op.VariableDefinitions.Refs = slices.DeleteFunc(op.VariableDefinitions.Refs, func(ref int) bool { return !n.named[doc.VariableDefinitionNameString(ref)] })
		op.HasVariableDefinitions = len(op.VariableDefinitions.Refs) > 0
	}
}

type namer struct {
	doc   *ast.Document
	named map[string]bool
}

// EnterArgument is called by the walker.
func (n *namer) EnterArgument(ref int) { n.note(n.doc.Arguments[ref].Value) }

func (n *namer) note(v ast.Value) {
	switch v.Kind {
	case ast.ValueKindVariable:
		n.named[n.doc.VariableValueNameString(v.Ref)] = true
	case ast.ValueKindList:
		for _, ref := range n.doc.ListValues[v.Ref].Refs {
			n.note(n.doc.Values[ref])
		}
	case ast.ValueKindObject:
		for _, ref := range n.doc.ObjectValues[v.Ref].Refs {
			n.note(n.doc.ObjectFields[ref].Value)
		}
	}
}

// escaped writes tabs as JSON wants them: GraphQL allows them in strings as they are.
func escaped(text []byte) []byte {
	for i, b := range text {
		if b == '\t' {
			out := append([]byte{}, text[:i]...)
			for _, b := range text[i:] {
				if b == '\t' {
					out = append(out, '\\', 't')
				} else {
					out = append(out, b)
				}
			}
			return out
		}
	}
	return text
}
