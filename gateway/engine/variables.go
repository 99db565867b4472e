package engine

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/wundergraph/astjson"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astparser"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astprinter"
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
	name     string
	typ      int    // in the document's declared operation
	fallback []byte // its default as JSON, nil for none
}

// readDeclared keeps the operation as it is before its literals become variables too.
func (d *document) readDeclared(doc *ast.Document) error {
	text, err := astprinter.PrintString(doc)
	if err != nil {
		return internal()
	}
	declared, report := astparser.ParseGraphqlDocumentString(text)
	if report.HasErrors() {
		return internal()
	}
	d.declared = &declared
	for i := range declared.OperationDefinitions {
		op := declared.OperationDefinitions[i]
		if !op.HasVariableDefinitions {
			continue
		}
		for _, ref := range op.VariableDefinitions.Refs {
			v := variable{name: strings.Clone(declared.VariableDefinitionNameString(ref)), typ: declared.VariableDefinitions[ref].Type}
			if declared.VariableDefinitionHasDefaultValue(ref) {
				if v.fallback, err = declared.ValueToJSON(declared.VariableDefinitionDefaultValue(ref)); err != nil {
					return internal()
				}
				v.fallback = escaped(v.fallback)
			}
			d.variables = append(d.variables, v)
		}
	}
	return nil
}

// readLiterals keeps the values of those of the plan's variables that stand for something written in the document.
func (d *document) readLiterals(values []byte) error {
	all, err := astjson.ParseBytes(escaped(values))
	if err != nil {
		return internal()
	}
	names := map[string]string{} // copies, which do not hold on to the document
	d.literals = map[string][]byte{}
	for canonical, name := range d.names {
		name = strings.Clone(name)
		requested := slices.ContainsFunc(d.variables, func(v variable) bool { return v.name == name })
		if v := all.Get(name); v != nil && !requested {
			d.literals[name] = v.MarshalTo(nil)
		}
		names[strings.Clone(canonical)] = name
	}
	d.names = names
	return nil
}

// bind checks the variables of a request and joins them with the values that the document itself gives. It also tells from which
// buckets the request draws.
func (d *document) bind(schema *ast.Document, given *astjson.Value) ([]byte, []Draw, error) {
	all := astjson.ObjectValue(nil)
	for _, v := range d.variables {
		value := given.Get(v.name)
		if value == nil && v.fallback != nil {
			value = astjson.MustParseBytes(v.fallback)
		}
		if value != nil {
			c := coercion{schema: schema, path: []string{v.name}}
			all.Set(nil, v.name, c.value(d.declared, v.typ, value))
			if c.wrong != "" {
				return nil, nil, failure(CodeInput, c.wrong)
			}
		}
	}
	if len(d.variables) > 0 {
		if err := validate(d.declared, schema, all.MarshalTo(nil)); err != nil {
			return nil, nil, err
		}
	}
	draws := d.draws(all)
	for name, value := range d.literals {
		all.Set(nil, name, astjson.MustParseBytes(value))
	}
	filled := map[string]*astjson.Value{}
	for name, t := range d.templates {
		filled[name] = t.fill(all)
	}
	for name, value := range filled {
		all.Set(nil, name, value)
	}
	return all.MarshalTo(nil), draws, nil
}

var validators = sync.Pool{New: func() any {
	return variablesvalidation.NewVariablesValidator(variablesvalidation.VariablesValidatorOptions{
		DisableExposingVariablesContent: true, // a password does not belong in an error
	})
}}

func validate(operation, schema *ast.Document, values []byte) error {
	validator := validators.Get().(*variablesvalidation.VariablesValidator)
	defer validators.Put(validator)
	err := validator.Validate(operation, schema, values)
	var invalid *variablesvalidation.InvalidVariableError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return failure(CodeInput, invalid.Message)
	}
	return internal()
}

// A coercion makes a variable's value what its type asks for.
type coercion struct {
	schema *ast.Document
	path   []string // where it is, from the variable on
	wrong  string   // what cannot be helped, and where
}

// value makes a list of what stands where the type has a list, however deep inside, and finds what the library takes for right:
// numbers that are no Int or no Float, and null where a default stands in for what is missing alone.
func (c *coercion) value(doc *ast.Document, typ int, v *astjson.Value) *astjson.Value {
	t := doc.Types[typ]
	switch t.TypeKind {
	case ast.TypeKindNonNull:
		if v.Type() == astjson.TypeNull {
			c.refuse("it must not be null")
		}
		return c.value(doc, t.OfType, v)
	case ast.TypeKindList:
		if v.Type() == astjson.TypeNull {
			return v
		}
		if v.Type() != astjson.TypeArray {
			list := astjson.ArrayValue(nil)
			list.SetArrayItem(nil, 0, c.value(doc, t.OfType, v))
			return list
		}
		for i, item := range v.GetArray() {
			v.SetArrayItem(nil, i, c.below("["+strconv.Itoa(i)+"]", doc, t.OfType, item))
		}
		return v
	}
	switch name := doc.TypeNameBytes(typ); v.Type() {
	case astjson.TypeNumber:
		switch f := v.GetFloat64(); {
		case string(name) == "Int" && !isInt(f):
			c.refuse("an Int is a whole number of 32 bits")
		case string(name) == "Float" && math.IsInf(f, 0):
			c.refuse("a Float is a number of 64 bits")
		}
	case astjson.TypeObject:
		c.fields(name, v)
	}
	return v
}

func (c *coercion) fields(typeName []byte, v *astjson.Value) {
	node, ok := c.schema.Index.FirstNodeByNameBytes(typeName)
	if !ok || node.Kind != ast.NodeKindInputObjectTypeDefinition {
		return
	}
	for _, ref := range c.schema.InputObjectTypeDefinitions[node.Ref].InputFieldsDefinition.Refs {
		name := c.schema.InputValueDefinitionNameString(ref)
		if field := v.Get(name); field != nil {
			v.Set(nil, name, c.below(name, c.schema, c.schema.InputValueDefinitions[ref].Type, field))
		}
	}
}

func (c *coercion) below(step string, doc *ast.Document, typ int, v *astjson.Value) *astjson.Value {
	c.path = append(c.path, step)
	v = c.value(doc, typ, v)
	c.path = c.path[:len(c.path)-1]
	return v
}

// refuse says what is wrong where the coercion is, in the words of the library; the first refusal stands.
func (c *coercion) refuse(why string) {
	if c.wrong == "" {
		c.wrong = `variable "$` + c.path[0] + `" got an invalid value at "` + strings.Join(c.path, ".") + `": ` + why
	}
}

func isInt(f float64) bool { return f == math.Trunc(f) && f >= math.MinInt32 && f <= math.MaxInt32 }
