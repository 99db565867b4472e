package mongo

import (
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// update is a checked change to one document: a replacement, or a document of operators.
type update struct {
	replacement  bson.D // nil for operators
	operators    bson.D
	arrayFilters map[string]*filter // by identifier
}

// newUpdate checks everything about an update that does not depend on the document it will meet.
func newUpdate(v any, arrayFilters bson.A) (*update, error) {
	doc, ok := v.(bson.D)
	if _, isPipeline := v.(bson.A); isPipeline {
		return nil, unsupported("updates by aggregation pipeline are")
	}
	if !ok {
		return nil, errorf(codeFailedToParse, "update must be a document")
	}
	u := &update{arrayFilters: map[string]*filter{}}
	if len(doc) == 0 || !strings.HasPrefix(doc[0].Key, "$") {
		u.replacement = doc
		return u, checkFieldNames(doc)
	}
	var paths []string
	for _, e := range doc {
		prepared, touched, err := prepareOperator(e)
		if err != nil {
			return nil, err
		}
		for _, path := range touched {
			for _, other := range paths {
				if overlaps(path, other) {
					return nil, errorf(codeConflictingUpdates, "Updating the path '%s' would create a conflict at '%s'", path, other)
				}
			}
			paths = append(paths, path)
		}
		u.operators = append(u.operators, prepared)
	}
	return u, u.addArrayFilters(arrayFilters)
}

func prepareOperator(e bson.E) (prepared bson.E, paths []string, err error) {
	if _, known := mongokit.FieldUpdateOperators[e.Key]; !known {
		return e, nil, errorf(codeFailedToParse, "unknown modifier: %s", e.Key)
	}
	changes, ok := e.Value.(bson.D)
	if !ok {
		return e, nil, errorf(codeFailedToParse, "modifier %s operates on fields: {%s: {<field>: ...}}", e.Key, e.Key)
	}
	out := make(bson.D, len(changes))
	for i, c := range changes {
		if err := checkPath(c.Key); err != nil {
			return e, nil, err
		}
		paths = append(paths, c.Key)
		if target, ok := c.Value.(string); ok && e.Key == "$rename" {
			if err := checkPath(target); err != nil {
				return e, nil, err
			}
			paths = append(paths, target)
		}
		if e.Key == "$pull" {
			if c.Value, err = pullCondition(c.Value); err != nil {
				return e, nil, err
			}
		}
		out[i] = c
	}
	return bson.E{Key: e.Key, Value: out}, paths, nil
}

// pullCondition checks what $pull removes: a value, a pattern, operators on an element, or a query on its fields.
func pullCondition(v any) (any, error) {
	f := &filter{}
	if query, ok := v.(bson.D); ok {
		if _, operators := isOperators(v); !operators {
			return f.prepare(query, true)
		}
	}
	return f.condition(v)
}

func (u *update) addArrayFilters(filters bson.A) error {
	for _, v := range filters {
		query, ok := v.(bson.D)
		if !ok {
			return errorf(codeTypeMismatch, "arrayFilters must be documents")
		}
		f, err := newFilter(query)
		if err != nil {
			return err
		}
		if len(f.needs) != 1 {
			return errorf(codeFailedToParse, "an array filter must be about exactly one identifier")
		}
		for identifier := range f.needs {
			if u.arrayFilters[identifier] != nil {
				return errorf(codeFailedToParse, "found multiple array filters with the same top-level field name %s", identifier)
			}
			u.arrayFilters[identifier] = f
		}
	}
	return nil
}

// apply is the document after the update. It may reuse the one it is given.
func (u *update) apply(doc bson.D, f *filter, inserting bool) (bson.D, error) {
	id := field(doc, "_id")
	if u.replacement != nil {
		doc = u.replacement
		if id != bsonkit.Missing {
			if field(doc, "_id") == bsonkit.Missing {
				doc = append(bson.D{{Key: "_id", Value: id}}, doc...)
			}
		}
	} else {
		operators, err := u.resolved(doc, f)
		if err != nil {
			return nil, err
		}
		if _, err := mongokit.Apply(&doc, &f.match, &operators, inserting, nil); err != nil {
			return nil, updateError(err)
		}
	}
	if id != bsonkit.Missing && bsonkit.Compare(id, field(doc, "_id")) != 0 {
		return nil, errorf(codeImmutableField, "Performing an update on the path '_id' would modify the immutable field '_id'")
	}
	return doc, nil
}

// resolved is the operators with positional paths made concrete for one document.
func (u *update) resolved(doc bson.D, f *filter) (bson.D, error) {
	out := make(bson.D, 0, len(u.operators))
	for _, e := range u.operators {
		var changes bson.D
		for _, c := range e.Value.(bson.D) {
			paths, err := u.concrete(c.Key, doc, f)
			if err != nil {
				return nil, err
			}
			for _, path := range paths {
				if err := checkBackfill(path, doc); err != nil {
					return nil, err
				}
				changes = append(changes, bson.E{Key: path, Value: c.Value})
			}
		}
		out = append(out, bson.E{Key: e.Key, Value: changes})
	}
	return out, nil
}

// updateError gives the kit's complaints MongoDB's codes.
func updateError(err error) error {
	message := err.Error()
	switch {
	case strings.HasPrefix(message, "cannot put value"):
		return errorf(codePathNotViable, "cannot create field: %s", message)
	case strings.HasPrefix(message, "conflicting key"):
		return errorf(codeConflictingUpdates, "%s would be updated twice", message)
	}
	return err
}

// checkFieldNames refuses operators among the fields of a whole document.
func checkFieldNames(doc bson.D) error {
	for _, e := range doc {
		if strings.HasPrefix(e.Key, "$") {
			return errorf(codeDollarPrefixedField, "the dollar ($) prefixed field '%s' is not valid for storage", e.Key)
		}
	}
	return nil
}

// storable is the BSON of a whole document with its _id in front, given one if it has none.
func storable(doc bson.D) (bson.Raw, any, error) {
	id := field(doc, "_id")
	switch id.(type) {
	case bsonkit.MissingType:
		id = primitive.NewObjectID()
	case bson.A, primitive.Regex:
		return nil, nil, errorf(codeInvalidIDField, "the '_id' value cannot be an array or a regular expression")
	}
	if len(doc) == 0 || doc[0].Key != "_id" {
		doc = append(bson.D{{Key: "_id", Value: id}}, without(doc, "_id")...)
	}
	if err := checkFieldNames(doc); err != nil {
		return nil, nil, err
	}
	raw, err := encode(doc)
	return raw, id, err
}
