package mongo

import (
	"bytes"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

const idIndexName = "_id_"

func newIDIndex() *index {
	pattern := bson.D{{Key: "_id", Value: int32(1)}}
	return &index{
		name:    idIndexName,
		spec:    bson.D{{Key: "v", Value: int32(2)}, {Key: "key", Value: pattern}, {Key: "name", Value: idIndexName}},
		columns: []column{{path: "_id"}},
		unique:  true,
		tree:    newIndexTree(),
	}
}

// newIndex reads an index specification and refuses the kinds of index this engine does not have.
func newIndex(spec bson.D) (*index, error) {
	ix := &index{spec: bson.D{{Key: "v", Value: int32(2)}}, tree: newIndexTree()}
	pattern, _ := lookup(spec, "key").(bson.D)
	if len(pattern) == 0 {
		return nil, errorf(codeCannotCreateIndex, "index keys cannot be empty")
	}
	for _, e := range pattern {
		if kind, ok := e.Value.(string); ok {
			return nil, unsupported("index type %q is", kind)
		}
		if strings.Contains(e.Key, "$") {
			return nil, unsupported("wildcard index %q is", e.Key)
		}
	}
	var err error
	if ix.columns, err = newColumns(pattern); err != nil {
		return nil, errorf(codeCannotCreateIndex, "%v", err)
	}
	ix.name, _ = lookup(spec, "name").(string)
	if ix.name == "" {
		ix.name = indexName(pattern)
	}
	ix.spec = append(ix.spec, bson.E{Key: "key", Value: pattern}, bson.E{Key: "name", Value: ix.name})
	for _, e := range spec {
		switch e.Key {
		case "key", "name", "v", "background", "ns":
			continue
		case "unique":
			ix.unique = truthy(e.Value)
		case "sparse":
			ix.sparse = truthy(e.Value)
		case "partialFilterExpression":
			if ix.partial, err = newPartialFilter(e.Value); err != nil {
				return nil, err
			}
		default:
			return nil, unsupported("index option %s is", e.Key)
		}
		ix.spec = append(ix.spec, e)
	}
	if ix.sparse && ix.partial != nil {
		return nil, errorf(codeCannotCreateIndex, "cannot mix partialFilterExpression and sparse options")
	}
	return ix, nil
}

func newPartialFilter(v any) (*filter, error) {
	query, ok := v.(bson.D)
	if !ok {
		return nil, errorf(codeCannotCreateIndex, "partialFilterExpression must be a document")
	}
	if err := checkPartial(query); err != nil {
		return nil, err
	}
	return newFilter(query)
}

// checkPartial admits the operators MongoDB admits: with those, equal values prove that a query stays inside the index.
func checkPartial(query bson.D) error {
	for _, e := range query {
		if e.Key == "$and" || e.Key == "$or" {
			branches, _ := e.Value.(bson.A)
			for _, b := range branches {
				if branch, ok := b.(bson.D); ok {
					if err := checkPartial(branch); err != nil {
						return err
					}
				}
			}
			continue
		}
		operators, _ := isOperators(e.Value)
		for _, o := range operators {
			switch o.Key {
			case "$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$type":
				continue
			case "$exists":
				if truthy(o.Value) {
					continue
				}
			}
			return errorf(codeCannotCreateIndex, "unsupported expression in partial index: %s", o.Key)
		}
	}
	return nil
}

// indexName is the name drivers and shells give an index: sku_1, price_-1_name_1.
func indexName(pattern bson.D) string {
	parts := make([]string, len(pattern))
	for i, e := range pattern {
		parts[i] = fmt.Sprintf("%s_%v", e.Key, e.Value)
	}
	return strings.Join(parts, "_")
}

// same says whether two values have the same BSON.
func same(a, b bson.D) bool {
	x, errA := encode(a)
	y, errB := encode(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
