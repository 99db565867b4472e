package mongo

import (
	"math"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
)

// projection reads a projection argument; nil shows documents whole.
func (r *request) projection(key string) (*projection, error) {
	spec, err := r.document(key)
	if err != nil || len(spec) == 0 {
		return nil, err
	}
	return newProjection(spec, true)
}

// readQuery is query with skip and limit; a negative limit asks for one batch.
func (r *request) readQuery(filterKey string) (q query, single bool, err error) {
	if q, err = r.query(filterKey); err != nil {
		return q, false, err
	}
	if q.skip, err = r.natural("skip", 0); err != nil {
		return q, false, err
	}
	if q.limit, err = r.integer("limit", 0); err != nil {
		return q, false, err
	}
	if q.limit < 0 {
		q.limit, single = -q.limit, true
	}
	if q.limit < 0 || q.skip > math.MaxInt32 || q.limit > math.MaxInt32 {
		return q, false, errorf(codeBadValue, "skip and limit must fit 32 bits")
	}
	return q, single, nil
}

func find(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	q, single, err := r.readQuery("filter")
	if err != nil {
		return nil, err
	}
	shape, err := r.projection("projection")
	if err != nil {
		return nil, err
	}
	size, err := r.natural("batchSize", defaultFirstBatch)
	if err != nil {
		return nil, err
	}
	docs, err := r.server.store.find(ns, q)
	if err != nil {
		return nil, err
	}
	return r.server.cursors.open(&cursor{ns: ns, docs: docs, shape: shape}, size, single || r.flag("singleBatch"))
}

func count(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	q, _, err := r.readQuery("query")
	if err != nil {
		return nil, err
	}
	docs, err := r.server.store.find(ns, q)
	return bson.D{{Key: "n", Value: int32(len(docs))}}, err
}

func distinctValues(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	key, ok := lookup(r.args, "key").(string)
	if !ok {
		return nil, errorf(codeTypeMismatch, "field 'key' must be a string")
	}
	if err := checkPath(key); err != nil {
		return nil, err
	}
	q, err := r.query("query")
	if err != nil {
		return nil, err
	}
	docs, err := r.server.store.find(ns, q)
	if err != nil {
		return nil, err
	}
	list := make(bsonkit.List, len(docs))
	for i, d := range docs {
		doc, err := decodeFields(d.raw, fields{head(key): true})
		if err != nil {
			return nil, err
		}
		list[i] = &doc
	}
	values, err := encode(bson.D{{Key: "values", Value: mongokit.Distinct(list, key)}})
	if err != nil {
		return nil, err
	}
	if len(values) > maxDocumentSize {
		return nil, errorf(codeDistinctTooBig, "distinct too big, 16mb cap")
	}
	return decode(values)
}

func aggregate(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	stages, ok := lookup(r.args, "pipeline").(bson.A)
	if !ok {
		return nil, errorf(codeTypeMismatch, "'pipeline' option must be specified as an array")
	}
	p, err := newPipeline(r.database, stages)
	if err != nil {
		return nil, err
	}
	p.query.hint = lookup(r.args, "hint")
	found, err := r.server.store.find(ns, p.query)
	if err != nil {
		return nil, err
	}
	docs := make([]bson.D, len(found))
	for i, d := range found {
		if docs[i], err = decodeFields(d.raw, p.needs); err != nil {
			return nil, err
		}
	}
	for _, run := range p.stages {
		if docs, err = run(r.server.store, docs); err != nil {
			return nil, err
		}
	}
	return r.cursorOf(ns, docs)
}

// explain tells how a find reaches its documents, in the shape of MongoDB's winning plan.
func explain(r *request) (bson.D, error) {
	inner, err := r.document(r.args[0].Key)
	if err != nil {
		return nil, err
	}
	if len(inner) == 0 || inner[0].Key != "find" {
		return nil, unsupported("explain of anything but find is")
	}
	asked := &request{server: r.server, name: "find", database: r.database, args: inner}
	ns, err := asked.namespace()
	if err != nil {
		return nil, err
	}
	q, _, err := asked.readQuery("filter")
	if err != nil {
		return nil, err
	}
	docs, w, err := r.server.store.explain(ns, q)
	if err != nil {
		return nil, err
	}
	return bson.D{
		{Key: "queryPlanner", Value: bson.D{{Key: "namespace", Value: ns.String()}, {Key: "winningPlan", Value: w.plan.describe()}}},
		{Key: "executionStats", Value: bson.D{
			{Key: "nReturned", Value: int32(len(docs))},
			{Key: "totalKeysExamined", Value: int32(w.keys)},
			{Key: "totalDocsExamined", Value: int32(w.docs)},
		}},
	}, nil
}

func (p plan) describe() bson.D {
	stage := bson.D{{Key: "stage", Value: "COLLSCAN"}}
	if p.index != nil {
		direction := "forward"
		if p.reverse {
			direction = "backward"
		}
		stage = bson.D{{Key: "stage", Value: "FETCH"}, {Key: "inputStage", Value: bson.D{
			{Key: "stage", Value: "IXSCAN"},
			{Key: "indexName", Value: p.index.name},
			{Key: "keyPattern", Value: p.index.keyPattern()},
			{Key: "direction", Value: direction},
		}}}
	}
	if !p.sorted {
		stage = bson.D{{Key: "stage", Value: "SORT"}, {Key: "inputStage", Value: stage}}
	}
	return stage
}
