package mongo

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
)

// pipeline is a checked aggregation: a query on the collection, then stages over what it found.
type pipeline struct {
	query  query
	stages []stage
	needs  fields // the top-level fields the stages read, nil for all
}

// stage turns documents into documents.
type stage func(s *store, docs []bson.D) ([]bson.D, error)

// stages by name; each reads its specification once, before any document is read.
var stageKinds = map[string]func(database string, spec any) (stage, error){
	"$match":       matchStage,
	"$sort":        sortStage,
	"$skip":        skipStage,
	"$limit":       limitStage,
	"$project":     projectStage,
	"$addFields":   addFieldsStage,
	"$set":         addFieldsStage,
	"$unset":       unsetStage,
	"$replaceRoot": replaceRootStage,
	"$replaceWith": replaceWithStage,
	"$count":       countStage,
	"$unwind":      unwindStage,
	"$group":       groupStage,
	"$lookup":      lookupStage,
}

// newPipeline checks a pipeline. Leading $match, $sort, $skip and $limit become a query, so that they use indexes.
func newPipeline(database string, stages bson.A) (*pipeline, error) {
	p := &pipeline{}
	pending := slices.Clone(stages)
	pushed := bson.D{}
	for len(pending) > 0 {
		spec, _ := pending[0].(bson.D)
		if !p.push(spec, &pushed) {
			break
		}
		pending = pending[1:]
	}
	var err error
	if p.query.filter, err = newFilter(pushed); err != nil {
		return nil, err
	}
	p.needs = needsOf(pending)
	for _, v := range pending {
		spec, ok := v.(bson.D)
		if !ok || len(spec) != 1 {
			return nil, errorf(codeMissingFirstFieldInAgg, "a pipeline stage specification object must contain exactly one field")
		}
		kind, ok := stageKinds[spec[0].Key]
		if !ok {
			return nil, &commandError{
				code:    codeUnknownStage,
				message: "pipeline stage '" + spec[0].Key + "' is not supported by the embedded store",
			}
		}
		run, err := kind(database, spec[0].Value)
		if err != nil {
			return nil, err
		}
		p.stages = append(p.stages, run)
	}
	return p, nil
}

// needsOf is what a first stage that makes new documents reads of the old; counting reads nothing.
func needsOf(stages bson.A) fields {
	if len(stages) == 0 {
		return nil
	}
	spec, _ := stages[0].(bson.D)
	need := fields{}
	if len(spec) != 1 || (spec[0].Key != "$group" && spec[0].Key != "$count") || !need.addReferences(spec[0].Value) {
		return nil
	}
	return need
}

// addReferences adds the fields an expression reads; false means it may read any.
func (f fields) addReferences(expression any) bool {
	switch x := expression.(type) {
	case string:
		path, isReference := strings.CutPrefix(x, "$")
		if strings.HasPrefix(path, "$") {
			return false
		}
		if isReference {
			f[head(path)] = true
		}
	case bson.A:
		for _, item := range x {
			if !f.addReferences(item) {
				return false
			}
		}
	case bson.D:
		for _, e := range x {
			if !f.addReferences(e.Value) {
				return false
			}
		}
	}
	return true
}

// push moves one leading stage into the query, if the query can still take it.
func (p *pipeline) push(spec bson.D, filter *bson.D) bool {
	if len(spec) != 1 {
		return false
	}
	cut := p.query.skip > 0 || p.query.limit > 0
	switch value := spec[0].Value; spec[0].Key {
	case "$match":
		match, ok := value.(bson.D)
		if !ok || cut || p.query.order != nil {
			return false
		}
		if len(*filter) == 0 {
			*filter = match
		} else {
			*filter = bson.D{{Key: "$and", Value: bson.A{*filter, match}}}
		}
		return true
	case "$sort":
		pattern, ok := value.(bson.D)
		if !ok || cut || p.query.order != nil {
			return false
		}
		order, err := newColumns(pattern)
		if err != nil || len(order) == 0 {
			return false
		}
		p.query.order = order
		return true
	case "$skip":
		n, ok := toInt64(value)
		if !ok || n < 0 || cut {
			return false
		}
		p.query.skip = n
		return true
	case "$limit":
		n, ok := toInt64(value)
		if !ok || n <= 0 || p.query.limit > 0 {
			return false
		}
		p.query.limit = n
		return true
	}
	return false
}

func matchStage(_ string, spec any) (stage, error) {
	query, ok := spec.(bson.D)
	if !ok {
		return nil, errorf(15959, "the match filter must be an expression in an object")
	}
	f, err := newFilter(query)
	if err != nil {
		return nil, err
	}
	return func(_ *store, docs []bson.D) ([]bson.D, error) {
		out := docs[:0:0]
		for _, doc := range docs {
			ok, err := f.matches(doc)
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, doc)
			}
		}
		return out, nil
	}, nil
}

func sortStage(_ string, spec any) (stage, error) {
	pattern, ok := spec.(bson.D)
	if !ok || len(pattern) == 0 {
		return nil, errorf(15976, "$sort stage must have at least one sort key")
	}
	order, err := newColumns(pattern)
	if err != nil {
		return nil, err
	}
	return func(_ *store, docs []bson.D) ([]bson.D, error) {
		type keyed struct {
			key string
			doc bson.D
		}
		rows := make([]keyed, len(docs))
		for i, doc := range docs {
			key, err := sortKey(doc, order)
			if err != nil {
				return nil, err
			}
			rows[i] = keyed{string(key), doc}
		}
		slices.SortStableFunc(rows, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
		out := make([]bson.D, len(rows))
		for i, row := range rows {
			out[i] = row.doc
		}
		return out, nil
	}, nil
}

func skipStage(_ string, spec any) (stage, error) {
	n, ok := toInt64(spec)
	if !ok || n < 0 {
		return nil, errorf(codeFailedToParse, "invalid argument to $skip stage: expected a non-negative number")
	}
	return func(_ *store, docs []bson.D) ([]bson.D, error) { return docs[min(n, int64(len(docs))):], nil }, nil
}

func limitStage(_ string, spec any) (stage, error) {
	n, ok := toInt64(spec)
	if !ok || n <= 0 {
		return nil, errorf(15958, "the limit must be positive")
	}
	return func(_ *store, docs []bson.D) ([]bson.D, error) { return docs[:min(n, int64(len(docs)))], nil }, nil
}

func countStage(_ string, spec any) (stage, error) {
	name, ok := spec.(string)
	if !ok || name == "" || strings.ContainsAny(name, "$.") {
		return nil, errorf(40156, "the count field must be a non-empty string without $ or .")
	}
	return func(_ *store, docs []bson.D) ([]bson.D, error) {
		if len(docs) == 0 {
			return nil, nil
		}
		return []bson.D{{{Key: name, Value: int32(len(docs))}}}, nil
	}, nil
}

// each is a stage that turns one document into one.
func each(change func(bson.D) (bson.D, error)) stage {
	return func(_ *store, docs []bson.D) ([]bson.D, error) {
		out := make([]bson.D, len(docs))
		for i, doc := range docs {
			changed, err := change(doc)
			if err != nil {
				return nil, err
			}
			out[i] = changed
		}
		return out, nil
	}
}

func projectStage(_ string, spec any) (stage, error) {
	d, ok := spec.(bson.D)
	if !ok || len(d) == 0 {
		return nil, errorf(51272, "$project specification must be a non-empty object")
	}
	p, err := newProjection(d, false)
	if err != nil {
		return nil, err
	}
	return each(p.apply), nil
}

func addFieldsStage(_ string, spec any) (stage, error) {
	d, ok := spec.(bson.D)
	if !ok {
		return nil, errorf(40272, "$addFields specification must be an object")
	}
	for _, e := range d {
		if err := checkPath(e.Key); err != nil {
			return nil, err
		}
	}
	if err := checkExpression(d); err != nil {
		return nil, err
	}
	return each(func(doc bson.D) (bson.D, error) {
		out := *bsonkit.Clone(&doc)
		for _, e := range d {
			value, err := evaluate(scope{root: doc}, e.Value)
			if err != nil {
				return nil, err
			}
			if value == bsonkit.Missing {
				continue
			}
			if _, err := bsonkit.Put(&out, e.Key, value, false); err != nil {
				return nil, err
			}
		}
		return out, nil
	}), nil
}

func unsetStage(_ string, spec any) (stage, error) {
	names, ok := spec.(bson.A)
	if !ok {
		names = bson.A{spec}
	}
	exclusion := bson.D{}
	for _, v := range names {
		name, ok := v.(string)
		if !ok {
			return nil, errorf(31002, "$unset specification must be a string or an array of strings")
		}
		exclusion = append(exclusion, bson.E{Key: name, Value: int32(0)})
	}
	return projectStage("", exclusion)
}

func replaceRootStage(database string, spec any) (stage, error) {
	d, _ := spec.(bson.D)
	root := field(d, "newRoot")
	if root == bsonkit.Missing {
		return nil, errorf(40231, "no newRoot specified for the $replaceRoot stage")
	}
	return replaceWithStage(database, root)
}

func replaceWithStage(_ string, spec any) (stage, error) {
	if err := checkExpression(spec); err != nil {
		return nil, err
	}
	return each(func(doc bson.D) (bson.D, error) {
		value, err := evaluate(scope{root: doc}, spec)
		if err != nil {
			return nil, err
		}
		root, ok := value.(bson.D)
		if !ok {
			return nil, errorf(codeReplaceRootNotDocument, "'newRoot' expression must evaluate to an object")
		}
		return root, nil
	}), nil
}

func unwindStage(_ string, spec any) (stage, error) {
	path, _ := spec.(string)
	keepEmpty := false
	if d, ok := spec.(bson.D); ok {
		path, _ = lookup(d, "path").(string)
		keepEmpty = truthy(lookup(d, "preserveNullAndEmptyArrays"))
		if field(d, "includeArrayIndex") != bsonkit.Missing {
			return nil, unsupported("$unwind option includeArrayIndex is")
		}
	}
	path, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, errorf(28818, "path option to $unwind stage should be prefixed with a '$'")
	}
	if err := checkPath(path); err != nil {
		return nil, err
	}
	return func(_ *store, docs []bson.D) ([]bson.D, error) {
		var out []bson.D
		for _, doc := range docs {
			value := bsonkit.Get(&doc, path)
			array, ok := value.(bson.A)
			switch {
			case ok && len(array) > 0:
				for _, element := range array {
					unwound := *bsonkit.Clone(&doc)
					if _, err := bsonkit.Put(&unwound, path, element, false); err != nil {
						return nil, err
					}
					out = append(out, unwound)
				}
			case ok && keepEmpty:
				unwound := *bsonkit.Clone(&doc)
				bsonkit.Unset(&unwound, path)
				out = append(out, unwound)
			case !ok && (present(value) != nil || keepEmpty):
				out = append(out, doc)
			}
		}
		return out, nil
	}, nil
}

// lookupStage joins by equality; the foreign collection's indexes serve it.
func lookupStage(database string, spec any) (stage, error) {
	d, _ := spec.(bson.D)
	for _, e := range d {
		switch e.Key {
		case "from", "localField", "foreignField", "as":
			if path, ok := e.Value.(string); !ok || checkPath(path) != nil {
				return nil, errorf(codeFailedToParse, "$lookup argument '%s' must be a string", e.Key)
			}
		default:
			return nil, unsupported("$lookup argument %s is", e.Key)
		}
	}
	from, _ := lookup(d, "from").(string)
	local, _ := lookup(d, "localField").(string)
	foreign, _ := lookup(d, "foreignField").(string)
	as, _ := lookup(d, "as").(string)
	if from == "" || local == "" || foreign == "" || as == "" {
		return nil, errorf(codeFailedToParse, "$lookup requires from, localField, foreignField and as")
	}
	return func(s *store, docs []bson.D) ([]bson.D, error) {
		return each(func(doc bson.D) (bson.D, error) {
			joined, err := s.joined(namespace{database, from}, foreign, present(get(doc, local)))
			if err != nil {
				return nil, err
			}
			out := *bsonkit.Clone(&doc)
			_, err = bsonkit.Put(&out, as, joined, false)
			return out, err
		})(s, docs)
	}, nil
}

// joined are the documents whose field equals a value, or one of an array's.
func (s *store) joined(ns namespace, path string, value any) (bson.A, error) {
	candidates, ok := value.(bson.A)
	if !ok {
		candidates = bson.A{value}
	}
	f, err := newFilter(bson.D{{Key: path, Value: bson.D{{Key: "$in", Value: candidates}}}})
	if err != nil {
		return nil, err
	}
	found, err := s.find(ns, query{filter: f})
	if err != nil {
		return nil, err
	}
	out := make(bson.A, len(found))
	for i, d := range found {
		if out[i], err = decode(d.raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}
