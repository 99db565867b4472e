package typesense

import "encoding/json"

// alter changes a collection as PATCH /collections/{name} asks and returns the answer.
func (c *collection) alter(body []byte) (map[string]any, *apiError) {
	var r schemaRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, badJSON(body, err)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.gone {
		return nil, notFound("Collection not found")
	}
	if r.Fields == nil && r.SynonymSets == nil && r.CurationSets == nil && r.Metadata == nil {
		return nil, badRequest("Alter payload is empty.")
	}
	fields, lines, err := c.schema.alter(r.Fields)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{}
	next, err := c.schema.with(fields)
	if err != nil {
		return nil, err
	}
	if r.Fields != nil {
		answer["fields"] = lines
	}
	if r.SynonymSets != nil {
		next.SynonymSets = *r.SynonymSets
		answer["synonym_sets"] = list(next.SynonymSets)
	}
	if r.CurationSets != nil {
		next.CurationSets = *r.CurationSets
		answer["curation_sets"] = list(next.CurationSets)
	}
	if r.Metadata != nil {
		next.Metadata = r.Metadata
		answer["metadata"] = r.Metadata
	}
	if next, err = c.seen(next); err != nil {
		return nil, err
	}
	built, err := c.build(next)
	if err != nil {
		return nil, err
	}
	ticket, err := c.replaceSchema(next, built)
	if err != nil {
		return nil, err
	}
	if err := c.log.commit(ticket); err != nil {
		return nil, errStore(err)
	}
	return answer, nil
}

// seen adds to an altered schema the fields that the documents already there show.
func (c *collection) seen(next *schema) (*schema, *apiError) {
	for it := c.index.live.Iterator(); it.HasNext(); {
		doc, err := readObject(c.index.docs[it.Next()].raw)
		if err != nil {
			return nil, errStore(err)
		}
		found := next.discover(doc)
		if len(found) == 0 {
			continue
		}
		if len(next.Fields)+len(found) > maxFields {
			return nil, badRequest("The collection would have more than %d fields.", maxFields)
		}
		var refusal *apiError
		if next, refusal = next.with(append(next.Fields, found...)); refusal != nil {
			return nil, refusal
		}
	}
	return next, nil
}

// build indexes the documents already there for the fields that a schema adds, aside from the readers.
func (c *collection) build(next *schema) (map[string]*fieldIndex, *apiError) {
	built := map[string]*fieldIndex{}
	for _, f := range next.checks {
		if old := c.index.fields[f.Name]; old == nil || !old.serves(f) {
			built[f.Name] = newFieldIndex(f)
		}
	}
	if len(built) == 0 {
		return nil, nil
	}
	for it := c.index.live.Iterator(); it.HasNext(); {
		n := it.Next()
		doc, err := readObject(c.index.docs[n].raw)
		if err != nil {
			return nil, errStore(err)
		}
		values, refusal := next.read(doc, coerceOrReject)
		if refusal != nil {
			return nil, badRequest("Schema change is incompatible with the type of documents already stored in this collection. error: %s", refusal.Message)
		}
		ch := next.change(c.index.docs[n].id, nil, values, nil)
		for i, f := range next.checks {
			if fx := built[f.Name]; fx != nil && !ch.now[i].empty() {
				fx.put(n, ch.now[i], ch.best)
			}
		}
	}
	return built, nil
}
