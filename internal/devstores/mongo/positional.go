package mongo

import (
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
)

// maxBackfill is how many nulls MongoDB will put in front of a new array element.
const maxBackfill = 1_500_000

// concrete replaces the positional operators of a path ($, $[] and $[identifier]) by the indexes they stand for.
func (u *update) concrete(path string, doc bson.D, f *filter) ([]string, error) {
	before, operator, rest := splitPositional(path)
	if operator == "" {
		return []string{path}, nil
	}
	array, ok := bsonkit.Get(&doc, before).(bson.A)
	if !ok {
		return nil, errorf(codeBadValue, "the path '%s' must exist in the document in order to apply array updates", before)
	}
	var paths []string
	for i, element := range array {
		chosen, err := u.chooses(operator, before, element, f)
		if err != nil {
			return nil, err
		}
		if !chosen {
			continue
		}
		deeper, err := u.concrete(before+"."+arrayKey(i)+rest, doc, f)
		if err != nil {
			return nil, err
		}
		paths = append(paths, deeper...)
		if operator == "$" {
			return paths, nil
		}
	}
	if operator == "$" {
		return nil, errorf(codeBadValue, "the positional operator did not find the match needed from the query")
	}
	return paths, nil
}

// chooses says whether a positional operator stands for this element of the array.
func (u *update) chooses(operator, array string, element any, f *filter) (bool, error) {
	switch operator {
	case "$[]":
		return true, nil
	case "$":
		return f.selectsElement(array, element)
	}
	identifier := strings.TrimSuffix(strings.TrimPrefix(operator, "$["), "]")
	elements := u.arrayFilters[identifier]
	if elements == nil {
		return false, errorf(codeBadValue, "no array filter found for identifier '%s' in path '%s'", identifier, array)
	}
	return elements.matches(bson.D{{Key: identifier, Value: element}})
}

// selectsElement says whether the filter's conditions on an array are met by one of its elements alone.
func (f *filter) selectsElement(array string, element any) (bool, error) {
	var conditions bson.D
	conjuncts(f.match, func(path string, condition any) {
		if path == array || strings.HasPrefix(path, array+".") {
			conditions = append(conditions, bson.E{Key: path, Value: condition})
		}
	})
	if len(conditions) == 0 {
		return false, nil
	}
	var alone bson.D
	if _, err := bsonkit.Put(&alone, array, bson.A{element}, false); err != nil {
		return false, err
	}
	return (&filter{match: conditions}).matches(alone)
}

// splitPositional cuts a path at its first positional operator; rest keeps its leading dot.
func splitPositional(path string) (before, operator, rest string) {
	start := strings.Index(path, ".$")
	if start < 0 {
		return path, "", ""
	}
	operator = path[start+1:]
	if end := strings.IndexByte(operator, '.'); end >= 0 {
		operator, rest = operator[:end], operator[end:]
	}
	if operator != "$" && !(strings.HasPrefix(operator, "$[") && strings.HasSuffix(operator, "]")) {
		return path, "", ""
	}
	return path[:start], operator, rest
}

// checkBackfill refuses an array index so far beyond the end that filling the gap would exhaust memory.
func checkBackfill(path string, doc bson.D) error {
	for at := range len(path) {
		if path[at] != '.' {
			continue
		}
		i, numeric := bsonkit.ParseIndex(bsonkit.PathSegment(path[at+1:]))
		if !numeric || i <= maxBackfill {
			continue
		}
		if array, ok := bsonkit.Get(&doc, path[:at]).(bson.A); ok && i > len(array)+maxBackfill {
			return errorf(codeBadValue, "attempting to backfill array elements up to '%s'", path)
		}
	}
	return nil
}
