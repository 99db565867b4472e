package engine

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/wundergraph/astjson"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/apollocompatibility"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/variablesvalidation"
)

// A condition is a variable on which a @skip or @include depends.
type condition struct {
	name     string
	fallback *bool // the variable's default
}

// conditionsOf lists the variables of an operation whose values decide which fields there are.
func conditionsOf(doc *ast.Document, operation int) []condition {
	var out []condition
	for i := range doc.Directives {
		if n := doc.DirectiveNameString(i); n != "skip" && n != "include" {
			continue
		}
		v, ok := doc.DirectiveArgumentValueByName(i, []byte("if"))
		if !ok || v.Kind != ast.ValueKindVariable {
			continue
		}
		name := doc.VariableValueNameBytes(v.Ref)
		if slices.ContainsFunc(out, func(c condition) bool { return c.name == string(name) }) {
			continue
		}
		definition, ok := doc.VariableDefinitionByNameAndOperation(operation, name)
		if !ok {
			continue // of another operation, or a mistake that validation reports
		}
		c := condition{name: string(name)}
		if d := doc.VariableDefinitions[definition].DefaultValue; d.IsDefined && d.Value.Kind == ast.ValueKindBoolean {
			b := bool(doc.BooleanValue(d.Value.Ref))
			c.fallback = &b
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b condition) int { return strings.Compare(a.name, b.name) })
	return out
}

// A decision is one outcome of all conditions of a source.
type decision struct {
	key       string
	variables []byte // the conditions' values as JSON
	values    map[string]bool
}

// decide reads the conditions from the variables of a request.
func (s *source) decide(given *astjson.Value) (decision, error) {
	d := decision{variables: []byte("{}")}
	if len(s.conditions) == 0 {
		return d, nil
	}
	d.values = map[string]bool{}
	key := make([]byte, len(s.conditions))
	for i, c := range s.conditions {
		var value bool
		switch v := given.Get(c.name); {
		case v == nil && c.fallback != nil:
			value = *c.fallback
		case v == nil:
			return d, failure(CodeInput, `variable "$`+c.name+`" of type Boolean! is required: a @skip or @include depends on it`)
		case v.Type() == astjson.TypeTrue:
			value = true
		case v.Type() != astjson.TypeFalse:
			return d, failure(CodeInput, `variable "$`+c.name+`" got an invalid value: a Boolean is expected`)
		}
		d.values[c.name], key[i] = value, 'f'
		if value {
			key[i] = 't'
		}
	}
	d.key = string(key)
	d.variables, _ = json.Marshal(d.values)
	return d, nil
}

// only returns, as JSON, the conditions that the operation still has among its variables.
func (d decision) only(names []string) []byte {
	kept := map[string]bool{}
	for name, v := range d.values {
		if slices.Contains(names, name) {
			kept[name] = v
		}
	}
	out, _ := json.Marshal(kept)
	return out
}

func parseVariables(raw json.RawMessage) (*astjson.Value, error) {
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	v, err := astjson.ParseBytes(raw)
	if err != nil {
		return nil, failure(CodeInput, "variables are no valid JSON")
	}
	switch v.Type() {
	case astjson.TypeNull:
		return astjson.MustParse("{}"), nil
	case astjson.TypeObject:
		return v, nil
	}
	return nil, failure(CodeInput, "variables have to be a JSON object")
}

// A variable is one that a request may give a value.
type variable struct {
	name  string
	typ   int // in the operation
	lists bool
}

func variableNames(doc *ast.Document) []string {
	var out []string
	for _, node := range doc.RootNodes {
		if node.Kind == ast.NodeKindOperationDefinition && doc.OperationDefinitions[node.Ref].HasVariableDefinitions {
			for _, ref := range doc.OperationDefinitions[node.Ref].VariableDefinitions.Refs {
				out = append(out, strings.Clone(doc.VariableDefinitionNameString(ref)))
			}
		}
	}
	return out
}

// readVariables parts what the document says itself from what the request says.
func (d *document) readVariables(clients []string, values []byte) error {
	literals, err := astjson.ParseBytes(values)
	if err != nil {
		return internal()
	}
	d.literals = map[string][]byte{}
	doc := d.operation
	for _, node := range doc.RootNodes {
		if node.Kind != ast.NodeKindOperationDefinition || !doc.OperationDefinitions[node.Ref].HasVariableDefinitions {
			continue
		}
		for _, ref := range doc.OperationDefinitions[node.Ref].VariableDefinitions.Refs {
			canonical := doc.VariableDefinitionNameString(ref)
			name, ok := d.names[canonical]
			if !ok {
				name = strings.Clone(canonical)
			}
			if v := literals.Get(name); v != nil {
				d.literals[name] = v.MarshalTo(nil)
			}
			if slices.Contains(clients, name) {
				d.declared = append(d.declared, variable{name: name, typ: doc.VariableDefinitions[ref].Type})
			}
		}
	}
	return nil
}

// bind joins the request's variables with the document's own, coerces them and refuses what does not fit its type.
func (d *document) bind(schema *ast.Document, given *astjson.Value) ([]byte, error) {
	all := astjson.ObjectValue(nil)
	for name, value := range d.literals {
		all.Set(nil, name, astjson.MustParseBytes(value))
	}
	for _, v := range d.declared {
		if value := given.Get(v.name); value != nil {
			all.Set(nil, v.name, coerce(d.operation, v.typ, schema, value))
		}
	}
	values := all.MarshalTo(nil)
	if len(d.operation.VariableDefinitions) == 0 {
		return values, nil
	}
	validator := variablesvalidation.NewVariablesValidator(variablesvalidation.VariablesValidatorOptions{
		ApolloCompatibilityFlags: apollocompatibility.Flags{},
	})
	err := validator.ValidateWithRemap(d.operation, schema, values, d.names)
	var invalid *variablesvalidation.InvalidVariableError
	switch {
	case err == nil:
		return values, nil
	case errors.As(err, &invalid):
		return nil, failure(CodeInput, invalid.Message)
	}
	return nil, internal()
}

// coerce makes a list of a value that stands where its type has a list, however deep inside.
func coerce(doc *ast.Document, typ int, schema *ast.Document, v *astjson.Value) *astjson.Value {
	t := doc.Types[typ]
	switch t.TypeKind {
	case ast.TypeKindNonNull:
		return coerce(doc, t.OfType, schema, v)
	case ast.TypeKindList:
		if v.Type() == astjson.TypeNull {
			return v
		}
		if v.Type() != astjson.TypeArray {
			list := astjson.ArrayValue(nil)
			list.SetArrayItem(nil, 0, coerce(doc, t.OfType, schema, v))
			return list
		}
		for i, item := range v.GetArray() {
			v.SetArrayItem(nil, i, coerce(doc, t.OfType, schema, item))
		}
		return v
	}
	if v.Type() != astjson.TypeObject {
		return v
	}
	node, ok := schema.Index.FirstNodeByNameBytes(doc.TypeNameBytes(typ))
	if !ok || node.Kind != ast.NodeKindInputObjectTypeDefinition {
		return v
	}
	for _, ref := range schema.InputObjectTypeDefinitions[node.Ref].InputFieldsDefinition.Refs {
		name := schema.InputValueDefinitionNameString(ref)
		if field := v.Get(name); field != nil {
			v.Set(nil, name, coerce(schema, schema.InputValueDefinitions[ref].Type, schema, field))
		}
	}
	return v
}
