package engine

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/wundergraph/astjson"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"

	"github.com/souk-shop/souk/gateway/supergraph"
)

// A Draw is one draw from a bucket that callers have in common, as @bucket in the schema says.
type Draw struct {
	Bucket string // its kind
	Value  string // whose it is: of all sales, this one
}

// Draws lists the draws of an operation: one for each field of the root that names a value, however often it is the same.
func (op *Operation) Draws() []Draw { return op.draws }

// A drawer finds one of them, in the arguments of one field.
type drawer struct {
	supergraph.Bucket
	value template
}

// drawers finds those of a normalised operation before its literals become variables.
func (e *Engine) drawers(doc *ast.Document) ([]drawer, error) {
	if len(e.buckets) == 0 {
		return nil, nil
	}
	var out []drawer
	for _, f := range e.rootFields(doc) {
		for _, b := range e.buckets[f.at] {
			ref, given := doc.FieldArgument(f.ref, []byte(b.Argument))
			if !given {
				continue
			}
			t, err := templateOf(doc, doc.Arguments[ref].Value)
			if err != nil {
				return nil, internal()
			}
			out = append(out, drawer{b, t})
		}
	}
	return out, nil
}

// A rootField is a field that an operation asks of the root.
type rootField struct {
	at  supergraph.Coordinate
	ref int
}

// rootFields lists those of the operation that a normalised document holds.
func (e *Engine) rootFields(doc *ast.Document) []rootField {
	var out []rootField
	for _, op := range doc.OperationDefinitions {
		if !op.HasSelections {
			continue
		}
		root := string(e.rootType(op.OperationType))
		var collect func(set int)
		collect = func(set int) {
			for _, sel := range doc.SelectionSets[set].SelectionRefs {
				switch s := doc.Selections[sel]; s.Kind {
				case ast.SelectionKindField:
					out = append(out, rootField{supergraph.Coordinate{Type: root, Field: doc.FieldNameString(s.Ref)}, s.Ref})
				case ast.SelectionKindInlineFragment:
					if f := doc.InlineFragments[s.Ref]; f.HasSelections {
						collect(f.SelectionSet)
					}
				}
			}
		}
		collect(op.SelectionSet)
	}
	return out
}

func (e *Engine) rootType(t ast.OperationType) []byte {
	switch t {
	case ast.OperationTypeMutation:
		return e.client.Index.MutationTypeName
	case ast.OperationTypeSubscription:
		return e.client.Index.SubscriptionTypeName
	}
	return e.client.Index.QueryTypeName
}

// draws lists them for the variables of a request.
func (d *document) draws(variables *astjson.Value) []Draw {
	var out []Draw
	for i := range d.drawers {
		dr := &d.drawers[i]
		out = dr.follow(out, dr.value.fill(variables), dr.Path)
	}
	return out
}

// follow goes along a path, through lists into each of their values.
func (dr *drawer) follow(out []Draw, v *astjson.Value, path []string) []Draw {
	if v == nil {
		return out
	}
	switch v.Type() {
	case astjson.TypeArray:
		for _, item := range v.GetArray() {
			out = dr.follow(out, item, path)
		}
	case astjson.TypeObject:
		if len(path) > 0 {
			out = dr.follow(out, v.Get(path[0]), path[1:])
		}
	case astjson.TypeString, astjson.TypeNumber:
		if len(path) == 0 {
			out = append(out, Draw{dr.Name, short(v)})
		}
	}
	return out
}

const longestName = 64 // bytes of a value that goes by itself

// short is a text for a value, the same for equal ones and never long: it becomes the key of a bucket.
func short(v *astjson.Value) string {
	text := string(v.GetStringBytes())
	if v.Type() == astjson.TypeNumber {
		text = string(v.MarshalTo(nil))
	}
	if len(text) <= longestName {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:16])
}
