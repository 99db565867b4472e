package mongo

import (
	"slices"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
)

// statements runs each statement of a bulk write and waits until what succeeded is on disk. An ordered bulk stops at
// the first refusal; the others go on.
func (r *request) statements(docs []bson.Raw, run func(i int, raw bson.Raw) (*commit, error)) (refused bson.A, err error) {
	ordered := true
	if v := lookup(r.args, "ordered"); v != nil {
		ordered = truthy(v)
	}
	var last *commit
	for i, raw := range docs {
		done, err := run(i, raw)
		if done != nil {
			last = done
		}
		if err == nil {
			continue
		}
		refused = append(refused, writeError(i, err))
		if ordered {
			break
		}
	}
	return refused, last.wait()
}

// tally is the answer to a bulk write.
func tally(out bson.D, refused bson.A) bson.D {
	if len(refused) > 0 {
		out = append(out, bson.E{Key: "writeErrors", Value: refused})
	}
	return out
}

func insert(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	docs, err := r.documents("documents")
	if err != nil {
		return nil, err
	}
	n := int32(0)
	refused, err := r.statements(docs, func(_ int, raw bson.Raw) (*commit, error) {
		if len(raw) > maxDocumentSize {
			return nil, errorf(codeObjectTooLarge, "object to insert too large. size in bytes: %d, max size: %d", len(raw), maxDocumentSize)
		}
		doc, err := decode(raw)
		if err != nil {
			return nil, err
		}
		stored, _, err := storable(doc)
		if err != nil {
			return nil, err
		}
		done, err := r.server.store.change(ns, func(w *writer) error { return w.insert(stored) })
		if err == nil {
			n++
		}
		return done, err
	})
	return tally(bson.D{{Key: "n", Value: n}}, refused), err
}

// modification is one checked statement of an update.
type modification struct {
	query  query
	update *update
	upsert bool
}

// outcome is what a modification did.
type outcome struct {
	matched  int32
	modified int32
	upserted any // the _id of the document it inserted
	before   bson.Raw
	after    bson.Raw
}

var updateOptions = []string{"q", "u", "multi", "upsert", "arrayFilters", "hint"}

func newModification(raw bson.Raw) (*modification, error) {
	statement, err := readStatement(raw, updateOptions)
	if err != nil {
		return nil, err
	}
	q, err := documentIn(statement, "q")
	if err != nil {
		return nil, err
	}
	m := &modification{upsert: truthy(lookup(statement, "upsert"))}
	m.query = query{hint: lookup(statement, "hint"), limit: 1}
	if m.query.filter, err = newFilter(q); err != nil {
		return nil, err
	}
	filters, _ := lookup(statement, "arrayFilters").(bson.A)
	if m.update, err = newUpdate(lookup(statement, "u"), filters); err != nil {
		return nil, err
	}
	if truthy(lookup(statement, "multi")) {
		m.query.limit = 0
		if m.update.replacement != nil {
			return nil, errorf(codeFailedToParse, "multi update is not supported for replacement-style update")
		}
	}
	return m, nil
}

// readStatement refuses options of a statement that would otherwise be ignored.
func readStatement(raw bson.Raw, options []string) (bson.D, error) {
	statement, err := decode(raw)
	if err != nil {
		return nil, err
	}
	for _, e := range statement {
		if !slices.Contains(options, e.Key) && truthy(e.Value) {
			return nil, unsupported("statement option %s is", e.Key)
		}
	}
	return statement, nil
}

// modify runs one modification. Selecting and changing are one step: two upserts of one key never both insert.
func (s *store) modify(ns namespace, m *modification) (outcome, *commit, error) {
	var out outcome
	if !m.upsert && s.collection(ns) == nil {
		return out, nil, nil
	}
	done, err := s.change(ns, func(w *writer) error {
		found, _, err := w.find(m.query)
		if err != nil {
			return err
		}
		if len(found) == 0 && m.upsert {
			return w.upsert(m, &out)
		}
		for _, d := range found {
			if err := w.modify(d, m, &out); err != nil {
				return err
			}
		}
		return nil
	})
	return out, done, err
}

func (w *writer) modify(d *document, m *modification, out *outcome) error {
	doc, err := decode(d.raw)
	if err != nil {
		return err
	}
	if doc, err = m.update.apply(doc, m.query.filter, false); err != nil {
		return err
	}
	raw, _, err := storable(doc)
	if err != nil {
		return err
	}
	if len(raw) > maxDocumentSize {
		return errorf(codeUpdatedDocumentTooBig, "Resulting document after update is larger than %d", maxDocumentSize)
	}
	out.before, out.after = d.raw, raw
	if string(raw) == string(d.raw) {
		out.matched++
		return nil
	}
	if err := w.replace(d, raw); err != nil {
		return err
	}
	out.matched++
	out.modified++
	return nil
}

func (w *writer) upsert(m *modification, out *outcome) error {
	base, err := m.query.filter.constants()
	if err != nil {
		return err
	}
	if m.update.replacement != nil { // takes nothing but the _id from the query
		id := field(base, "_id")
		if base = nil; id != bsonkit.Missing {
			base = bson.D{{Key: "_id", Value: id}}
		}
	}
	doc, err := m.update.apply(base, m.query.filter, true)
	if err != nil {
		return err
	}
	raw, id, err := storable(doc)
	if err != nil {
		return err
	}
	if len(raw) > maxDocumentSize {
		return errorf(codeUpdatedDocumentTooBig, "Resulting document after update is larger than %d", maxDocumentSize)
	}
	if err := w.insert(raw); err != nil {
		return err
	}
	out.upserted, out.after = id, raw
	return nil
}

func updateMany(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	docs, err := r.documents("updates")
	if err != nil {
		return nil, err
	}
	var n, modified int32
	upserted := bson.A{}
	refused, err := r.statements(docs, func(i int, raw bson.Raw) (*commit, error) {
		m, err := newModification(raw)
		if err != nil {
			return nil, err
		}
		out, done, err := r.server.store.modify(ns, m)
		n += out.matched
		modified += out.modified
		if out.upserted != nil {
			n++
			upserted = append(upserted, bson.D{{Key: "index", Value: int32(i)}, {Key: "_id", Value: out.upserted}})
		}
		return done, err
	})
	answer := bson.D{{Key: "n", Value: n}, {Key: "nModified", Value: modified}}
	if len(upserted) > 0 {
		answer = append(answer, bson.E{Key: "upserted", Value: upserted})
	}
	return tally(answer, refused), err
}

func deleteMany(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	docs, err := r.documents("deletes")
	if err != nil {
		return nil, err
	}
	n := int32(0)
	refused, err := r.statements(docs, func(_ int, raw bson.Raw) (*commit, error) {
		statement, err := readStatement(raw, []string{"q", "limit", "hint"})
		if err != nil {
			return nil, err
		}
		d, err := documentIn(statement, "q")
		if err != nil {
			return nil, err
		}
		limit, ok := toInt64(lookup(statement, "limit"))
		if !ok || limit < 0 || limit > 1 {
			return nil, errorf(codeFailedToParse, "the limit field in delete objects must be 0 or 1")
		}
		q := query{limit: limit, hint: lookup(statement, "hint")}
		if q.filter, err = newFilter(d); err != nil {
			return nil, err
		}
		deleted, done, err := r.server.store.delete(ns, q)
		n += int32(len(deleted))
		return done, err
	})
	return tally(bson.D{{Key: "n", Value: n}}, refused), err
}

// delete removes the documents a query selects.
func (s *store) delete(ns namespace, q query) (deleted []*document, done *commit, err error) {
	if s.collection(ns) == nil {
		return nil, nil, nil
	}
	done, err = s.change(ns, func(w *writer) error {
		found, _, err := w.find(q)
		if err != nil {
			return err
		}
		for _, d := range found {
			if err := w.delete(d); err != nil {
				return err
			}
			deleted = append(deleted, d)
		}
		return nil
	})
	return deleted, done, err
}

func findAndModify(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	q, err := r.query("query")
	if err != nil {
		return nil, err
	}
	q.limit = 1
	shape, err := r.projection("fields")
	if err != nil {
		return nil, err
	}
	var (
		out    outcome
		done   *commit
		effect bson.D
		shown  bson.Raw
	)
	change := lookup(r.args, "update")
	switch {
	case r.flag("remove") && change != nil:
		return nil, errorf(codeFailedToParse, "Cannot specify both an update and remove=true")
	case r.flag("remove"):
		var deleted []*document
		if deleted, done, err = r.server.store.delete(ns, q); len(deleted) > 0 {
			shown = deleted[0].raw
		}
		effect = bson.D{{Key: "n", Value: int32(len(deleted))}}
	case change == nil:
		return nil, errorf(codeFailedToParse, "Either an update or remove=true must be specified")
	default:
		m := &modification{query: q, upsert: r.flag("upsert")}
		filters, _ := lookup(r.args, "arrayFilters").(bson.A)
		if m.update, err = newUpdate(change, filters); err != nil {
			return nil, err
		}
		if out, done, err = r.server.store.modify(ns, m); r.flag("new") {
			shown = out.after
		} else {
			shown = out.before
		}
		effect = bson.D{{Key: "n", Value: out.matched}, {Key: "updatedExisting", Value: out.matched > 0}}
		if out.upserted != nil {
			effect = bson.D{{Key: "n", Value: int32(1)}, {Key: "updatedExisting", Value: false}, {Key: "upserted", Value: out.upserted}}
		}
	}
	if err != nil {
		return nil, err
	}
	if err := done.wait(); err != nil {
		return nil, err
	}
	answer := bson.D{{Key: "lastErrorObject", Value: effect}, {Key: "value", Value: nil}}
	if shown != nil {
		if answer[1].Value, err = shape.raw(shown); err != nil {
			return nil, err
		}
	}
	return answer, nil
}
