package mongo

import (
	"math/rand/v2"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

const (
	defaultFirstBatch = 101
	maxBatchSize      = maxDocumentSize
	// cursorIdle is how long an unread cursor is kept, as in MongoDB.
	cursorIdle = 10 * time.Minute
)

// cursor is what is left of a result. Its documents are those of the moment it was opened.
type cursor struct {
	ns namespace

	mu    sync.Mutex // guards what follows
	docs  []*document
	shape *projection // nil shows documents whole
	used  time.Time
}

// next takes up to n documents, and no more than fit an answer.
func (c *cursor) next(n int64) (batch []bson.Raw, more bool, err error) {
	batch = []bson.Raw{}
	for size := 0; len(c.docs) > 0 && int64(len(batch)) < n; c.docs = c.docs[1:] {
		raw, err := c.shape.raw(c.docs[0].raw)
		if err != nil {
			return nil, false, err
		}
		if size += len(raw); size > maxBatchSize && len(batch) > 0 {
			break
		}
		batch = append(batch, raw)
	}
	return batch, len(c.docs) > 0, nil
}

// raw is the projected BSON of a stored document.
func (p *projection) raw(raw bson.Raw) (bson.Raw, error) {
	if p == nil {
		return raw, nil
	}
	doc, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if doc, err = p.apply(doc); err != nil {
		return nil, err
	}
	return encode(doc)
}

// cursors are the results that clients have not read to the end.
type cursors struct {
	mu   sync.Mutex
	byID map[int64]*cursor
}

// open answers the first batch of a result and keeps the rest, unless one batch is all the client wants.
func (cs *cursors) open(c *cursor, batchSize int64, single bool) (bson.D, error) {
	batch, more, err := c.next(batchSize)
	if err != nil {
		return nil, err
	}
	id := int64(0)
	if more && !single {
		id = cs.keep(c)
	}
	return cursorAnswer(id, c.ns, "firstBatch", batch), nil
}

func (cs *cursors) keep(c *cursor) int64 {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := time.Now()
	for id, old := range cs.byID {
		if old.idleSince(now) > cursorIdle {
			delete(cs.byID, id)
		}
	}
	c.used = now
	id := rand.Int64()
	for id == 0 || cs.byID[id] != nil {
		id = rand.Int64()
	}
	cs.byID[id] = c
	return id
}

func (c *cursor) idleSince(now time.Time) time.Duration {
	if !c.mu.TryLock() { // being read
		return 0
	}
	defer c.mu.Unlock()
	return now.Sub(c.used)
}

func (cs *cursors) get(id int64) *cursor {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byID[id]
}

// forget closes a cursor and says whether there was one.
func (cs *cursors) forget(id int64) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	_, ok := cs.byID[id]
	delete(cs.byID, id)
	return ok
}

func cursorAnswer(id int64, ns namespace, field string, batch []bson.Raw) bson.D {
	return bson.D{{Key: "cursor", Value: bson.D{
		{Key: "id", Value: id},
		{Key: "ns", Value: ns.String()},
		{Key: field, Value: batch},
	}}}
}

func getMore(r *request) (bson.D, error) {
	id, ok := r.args[0].Value.(int64)
	if !ok {
		return nil, errorf(codeTypeMismatch, "field 'getMore' must be a long")
	}
	name, _ := lookup(r.args, "collection").(string)
	size, err := r.natural("batchSize", 0)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = maxBatchSize // as many as fit
	}
	c := r.server.cursors.get(id)
	if c == nil {
		return nil, errorf(codeCursorNotFound, "cursor id %d not found", id)
	}
	if c.ns != (namespace{r.database, name}) {
		return nil, errorf(13, "requested getMore on namespace '%s.%s', but cursor belongs to %s", r.database, name, c.ns)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	batch, more, err := c.next(size)
	if err != nil {
		return nil, err
	}
	c.used = time.Now()
	left := id
	if !more {
		r.server.cursors.forget(id)
		left = 0
	}
	return cursorAnswer(left, c.ns, "nextBatch", batch), nil
}

func killCursors(r *request) (bson.D, error) {
	ids, ok := lookup(r.args, "cursors").(bson.A)
	if !ok {
		return nil, errorf(codeMissingField, "field 'cursors' is missing but a required field")
	}
	killed, unknown := bson.A{}, bson.A{}
	for _, v := range ids {
		if id, ok := v.(int64); ok && r.server.cursors.forget(id) {
			killed = append(killed, v)
		} else {
			unknown = append(unknown, v)
		}
	}
	return bson.D{
		{Key: "cursorsKilled", Value: killed},
		{Key: "cursorsNotFound", Value: unknown},
		{Key: "cursorsAlive", Value: bson.A{}},
		{Key: "cursorsUnknown", Value: bson.A{}},
	}, nil
}
