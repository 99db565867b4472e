package mongo

import (
	"slices"

	"go.mongodb.org/mongo-driver/bson"
)

func listDatabases(r *request) (bson.D, error) {
	query, err := r.document("filter")
	if err != nil {
		return nil, err
	}
	f, err := newFilter(query)
	if err != nil {
		return nil, err
	}
	names := bson.A{}
	last := ""
	for _, ns := range r.server.store.list("") {
		if ns.database == last {
			continue
		}
		last = ns.database
		d := bson.D{{Key: "name", Value: last}, {Key: "sizeOnDisk", Value: int64(0)}, {Key: "empty", Value: false}}
		ok, err := f.matches(d)
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, d)
		}
	}
	return bson.D{{Key: "databases", Value: names}, {Key: "totalSize", Value: int64(0)}}, nil
}

func listCollections(r *request) (bson.D, error) {
	query, err := r.document("filter")
	if err != nil {
		return nil, err
	}
	f, err := newFilter(query)
	if err != nil {
		return nil, err
	}
	var found []bson.D
	for _, ns := range r.server.store.list(r.database) {
		d := bson.D{
			{Key: "name", Value: ns.collection},
			{Key: "type", Value: "collection"},
			{Key: "options", Value: bson.D{}},
			{Key: "info", Value: bson.D{{Key: "readOnly", Value: false}}},
			{Key: "idIndex", Value: newIDIndex().spec},
		}
		ok, err := f.matches(d)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, d)
		}
	}
	return r.cursorOf(namespace{r.database, "$cmd.listCollections"}, found)
}

// cursorOf answers documents that are no collection's; batchSize inside "cursor" cuts them into batches.
func (r *request) cursorOf(ns namespace, docs []bson.D) (bson.D, error) {
	options, err := r.document("cursor")
	if err != nil {
		return nil, err
	}
	size := int64(defaultFirstBatch)
	if v := lookup(options, "batchSize"); v != nil {
		n, ok := toInt64(v)
		if !ok || n < 0 {
			return nil, errorf(codeBadValue, "cursor.batchSize must be a non-negative integer")
		}
		size = n
	}
	made := make([]*document, len(docs))
	for i, doc := range docs {
		raw, err := encode(doc)
		if err != nil {
			return nil, err
		}
		if len(raw) > maxDocumentSize {
			return nil, errorf(codeObjectTooLarge, "result document of %d bytes is larger than %d", len(raw), maxDocumentSize)
		}
		made[i] = &document{raw: raw}
	}
	return r.server.cursors.open(&cursor{ns: ns, docs: made}, size, false)
}

func create(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	done, made, err := r.server.store.create(ns)
	if err != nil {
		return nil, err
	}
	if !made {
		return nil, errorf(codeNamespaceExists, "Collection %s already exists.", ns)
	}
	return bson.D{}, done.wait()
}

func drop(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	done, existed := r.server.store.drop(ns)
	if !existed {
		return bson.D{}, nil
	}
	return bson.D{{Key: "ns", Value: ns.String()}}, done.wait()
}

func dropDatabase(r *request) (bson.D, error) {
	return bson.D{{Key: "dropped", Value: r.database}}, r.server.store.dropDatabase(r.database).wait()
}

func createIndexes(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	specs, ok := lookup(r.args, "indexes").(bson.A)
	if !ok || len(specs) == 0 {
		return nil, errorf(codeBadValue, "must specify at least one index to create")
	}
	wanted := make([]*index, len(specs))
	for i, v := range specs {
		spec, ok := v.(bson.D)
		if !ok {
			return nil, errorf(codeTypeMismatch, "indexes must hold objects")
		}
		if wanted[i], err = newIndex(spec); err != nil {
			return nil, err
		}
	}
	made := r.server.store.collection(ns) == nil
	var before, after int
	done, err := r.server.store.change(ns, func(w *writer) error {
		before = len(w.indexes)
		defer func() { after = len(w.indexes) }()
		return w.addIndexes(r.server.store, wanted)
	})
	if err != nil {
		return nil, err
	}
	return bson.D{
		{Key: "numIndexesBefore", Value: int32(before)},
		{Key: "numIndexesAfter", Value: int32(after)},
		{Key: "createdCollectionAutomatically", Value: made},
	}, done.wait()
}

// addIndexes builds the indexes that are not there yet, all of them or none.
func (w *writer) addIndexes(s *store, wanted []*index) error {
	indexes := slices.Clone(w.indexes)
	for _, ix := range wanted {
		exists, err := conflict(indexes, ix)
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		if err := w.build(ix); err != nil {
			return err
		}
		indexes = append(indexes, ix)
	}
	if len(indexes) == len(w.indexes) {
		return nil
	}
	return w.saveIndexes(s, indexes)
}

func (w *writer) saveIndexes(s *store, indexes []*index) error {
	w.setIndexes(indexes)
	done, err := s.saveRecord(w.collection)
	w.done = done
	return err
}

// conflict says whether the same index exists, and refuses a different one of the same name or with the same keys.
func conflict(indexes []*index, wanted *index) (exists bool, err error) {
	for _, ix := range indexes {
		sameKeys := same(ix.keyPattern(), wanted.keyPattern())
		if sameKeys && ix.name == idIndexName {
			return true, nil
		}
		switch {
		case ix.name == wanted.name && same(ix.spec, wanted.spec):
			return true, nil
		case ix.name == wanted.name:
			return false, errorf(codeIndexKeySpecsConflict, "an existing index has the same name as the requested index: %s", ix.name)
		case sameKeys && (ix.partial == nil) == (wanted.partial == nil):
			return false, errorf(codeIndexOptionsConflict, "index already exists with a different name: %s", ix.name)
		}
	}
	return false, nil
}

func listIndexes(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	c := r.server.store.collection(ns)
	if c == nil {
		return nil, errorf(codeNamespaceNotFound, "ns does not exist: %s", ns)
	}
	c.mu.RLock()
	var specs []bson.D
	for _, ix := range c.indexes {
		specs = append(specs, ix.spec)
	}
	c.mu.RUnlock()
	return r.cursorOf(ns, specs)
}

func dropIndexes(r *request) (bson.D, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	if r.server.store.collection(ns) == nil {
		return nil, errorf(codeNamespaceNotFound, "ns not found %s", ns)
	}
	which := lookup(r.args, "index")
	names, ok := which.(bson.A)
	if !ok {
		names = bson.A{which}
	}
	before := 0
	done, err := r.server.store.change(ns, func(w *writer) error {
		before = len(w.indexes)
		indexes := slices.Clone(w.indexes)
		if which == "*" {
			indexes = indexes[:1]
			names = nil
		}
		for _, name := range names {
			i := slices.IndexFunc(indexes, func(ix *index) bool { return ix.named(name) })
			if i == 0 {
				return errorf(codeInvalidOptions, "cannot drop _id index")
			}
			if i < 0 {
				return errorf(codeIndexNotFound, "index not found with name [%v]", name)
			}
			indexes = slices.Delete(indexes, i, i+1)
		}
		return w.saveIndexes(r.server.store, indexes)
	})
	if err != nil {
		return nil, err
	}
	return bson.D{{Key: "nIndexesWas", Value: int32(before)}}, done.wait()
}
