package typesense

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
)

// Limits that keep a hostile feed from growing the index without bound.
const (
	maxFields  = 2000
	maxLogLoss = 16 << 20 // bytes of dead records a log may hold beyond the size of what lives
)

// collection is a schema, its documents, and the log they come back from.
//
// Writers take turns on writing and hold mu only while they change the index, one document at a time, so that a search
// never waits for a whole import.
type collection struct {
	writing sync.Mutex
	log     *wal
	gone    bool // dropped; guarded by writing

	mu     sync.RWMutex // guards schema and index
	schema *schema
	index  *index
}

// createCollection starts an empty collection whose log is at path.
func createCollection(path string, s *schema) (*collection, error) {
	b, err := s.encode()
	if err != nil {
		return nil, err
	}
	l, err := createLog(path, record{opSchema, b})
	if err != nil {
		return nil, err
	}
	c := &collection{log: l, schema: s, index: newIndex()}
	c.index.adopt(s)
	return c, nil
}

// openCollection brings a collection back from its log.
func openCollection(path string, log *slog.Logger) (*collection, error) {
	c := &collection{index: newIndex()}
	var (
		order []string
		docs  = map[string][]byte{}
		at    = map[string]int{}
	)
	l, torn, err := openLog(path, func(r record) error {
		switch r.op {
		case opSchema:
			s, err := decodeSchema(r.data)
			c.schema = s
			return err
		case opPut:
			doc, err := readObject(r.data)
			if err != nil {
				return err
			}
			id, _ := doc["id"].(string)
			if _, known := docs[id]; !known {
				at[id] = len(order)
				order = append(order, id)
			}
			docs[id] = r.data
		case opDelete:
			id := string(r.data)
			if i, known := at[id]; known {
				order[i] = ""
				delete(docs, id)
				delete(at, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if c.schema == nil {
		return nil, errors.Join(fmt.Errorf("log %s holds no schema", path), l.close())
	}
	if torn > 0 {
		log.Warn("typesense: cut an unfinished record off a log", "collection", c.schema.Name, "bytes", torn)
	}
	c.log = l
	c.index.adopt(c.schema)
	for _, id := range order {
		if id == "" {
			continue
		}
		if err := c.restore(id, docs[id]); err != nil {
			return nil, errors.Join(fmt.Errorf("collection %s, document %s: %w", c.schema.Name, id, err), l.close())
		}
	}
	return c, nil
}

// restore indexes a document from the log.
func (c *collection) restore(id string, raw []byte) error {
	doc, err := readObject(raw)
	if err != nil {
		return err
	}
	values, refusal := c.schema.read(doc, coerceOrReject)
	if refusal != nil {
		return refusal
	}
	c.index.put(c.schema, c.schema.change(id, raw, values, nil))
	return nil
}

// change prepares a document for the index.
func (s *schema) change(id string, raw []byte, now, was []value) change {
	ch := change{id: id, raw: raw, was: was, now: make([]entry, len(now))}
	for i, f := range s.checks {
		ch.now[i] = f.prepare(now[i])
		if f.Name == s.DefaultSort && len(now[i].nums) > 0 {
			ch.best = now[i].nums[0]
		}
	}
	return ch
}

// action is what a write does with a document that exists, or does not.
type action string

const (
	actCreate  action = "create"
	actUpsert  action = "upsert"
	actUpdate  action = "update"
	actEmplace action = "emplace"
)

func parseAction(s string) (action, *apiError) {
	switch a := action(s); a {
	case "":
		return actCreate, nil
	case actCreate, actUpsert, actUpdate, actEmplace:
		return a, nil
	}
	return "", badRequest("Parameter `action` must be a create|update|upsert.")
}

// errStore is the refusal of a write that the disk did not take.
func errStore(err error) *apiError {
	return refuse(http.StatusInternalServerError, "Could not write to the log: %v", err)
}

// written is a document the log has taken; it is durable once the ticket is committed.
type written struct {
	id     string
	raw    []byte
	ticket uint64
}

// put writes one document. The caller acknowledges it only after commit.
func (c *collection) put(act action, doc map[string]any, policy dirty) (written, *apiError) {
	id, err := documentID(doc)
	if err != nil {
		return written{}, err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.gone {
		return written{}, notFound("Collection not found")
	}
	if id == "" {
		if act == actUpdate {
			return written{}, badRequest("For update, the `id` key must be provided.")
		}
		id = c.freeID()
		doc["id"] = id
	}
	old, known := c.document(id)
	switch {
	case known && act == actCreate:
		return written{}, refuse(http.StatusConflict, "A document with id %s already exists.", id)
	case !known && act == actUpdate:
		return written{}, missingDocument(id)
	case known && act != actUpsert:
		if doc, err = patched(old, doc); err != nil {
			return written{}, err
		}
	}
	return c.write(id, doc, old, policy)
}

// patched is a stored document with a client's changes.
func patched(old []byte, patch map[string]any) (map[string]any, *apiError) {
	doc, err := readObject(old)
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, "A stored document cannot be read: %v", err)
	}
	mergePatch(doc, patch)
	return doc, nil
}

// write validates a whole document, logs it and indexes it. The caller holds writing.
func (c *collection) write(id string, doc map[string]any, old []byte, policy dirty) (written, *apiError) {
	tidyNumbers(doc)
	if err := c.learn(doc); err != nil {
		return written{}, err
	}
	values, err := c.schema.read(doc, policy)
	if err != nil {
		return written{}, err
	}
	raw := writeObject(doc)
	ticket, logErr := c.log.append(opPut, raw)
	if logErr != nil {
		return written{}, errStore(logErr)
	}
	ch := c.schema.change(id, raw, values, c.valuesOf(old))
	c.mu.Lock()
	c.index.put(c.schema, ch)
	c.mu.Unlock()
	return written{id: id, raw: raw, ticket: ticket}, nil
}

// learn adds the fields that a document shows for the first time.
func (c *collection) learn(doc map[string]any) *apiError {
	found := c.schema.discover(doc)
	if len(found) == 0 {
		return nil
	}
	if len(c.schema.Fields)+len(found) > maxFields {
		return badRequest("The collection would have more than %d fields.", maxFields)
	}
	var fields []*field
	for _, f := range c.schema.Fields {
		replaced := false
		for _, n := range found {
			replaced = replaced || n.Name == f.Name // an `auto` field has found its type
		}
		if !replaced {
			fields = append(fields, f)
		}
	}
	next, err := c.schema.with(append(fields, found...))
	if err != nil {
		return err
	}
	_, err = c.replaceSchema(next, nil)
	return err
}

// replaceSchema logs a schema and adopts it, with the new fields' indexes where the caller has built them.
func (c *collection) replaceSchema(next *schema, built map[string]*fieldIndex) (ticket uint64, _ *apiError) {
	b, err := next.encode()
	if err != nil {
		return 0, errStore(err)
	}
	if ticket, err = c.log.append(opSchema, b); err != nil {
		return 0, errStore(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.schema = next
	c.index.adopt(next)
	for name, fx := range built {
		c.index.fields[name] = fx
	}
	return ticket, nil
}

// valuesOf reads a stored document again; nil when there is none or its fields have changed since.
func (c *collection) valuesOf(raw []byte) []value {
	if raw == nil {
		return nil
	}
	doc, err := readObject(raw)
	if err != nil {
		return nil
	}
	values, refusal := c.schema.read(doc, coerceOrReject)
	if refusal != nil {
		return nil
	}
	return values
}

// document returns a document's JSON. Only writers change it, so the caller may hold either lock.
func (c *collection) document(id string) ([]byte, bool) {
	n, ok := c.index.find(id)
	if !ok {
		return nil, false
	}
	return c.index.docs[n].raw, true
}

// freeID makes up an id as Typesense does: a number that counts up.
func (c *collection) freeID() string {
	for n := len(c.index.docs); ; n++ {
		id := strconv.Itoa(n)
		if _, taken := c.index.find(id); !taken {
			return id
		}
	}
}

// remove takes documents out by id and returns those that were there.
func (c *collection) remove(ids ...string) (removed [][]byte, ticket uint64, err *apiError) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.gone {
		return nil, 0, notFound("Collection not found")
	}
	for _, id := range ids {
		raw, ok := c.document(id)
		if !ok {
			continue
		}
		t, logErr := c.log.append(opDelete, []byte(id))
		if logErr != nil {
			return nil, 0, errStore(logErr)
		}
		c.mu.Lock()
		c.index.remove(id)
		c.mu.Unlock()
		removed, ticket = append(removed, raw), t
	}
	return removed, ticket, nil
}

// commit waits until a ticket's writes are on disk and, when the log has outgrown what lives, shortens it.
func (c *collection) commit(ticket uint64) *apiError {
	if err := c.log.commit(ticket); err != nil {
		return errStore(err)
	}
	c.mu.RLock()
	live := c.index.bytes
	c.mu.RUnlock()
	if c.log.length() > 2*live+maxLogLoss {
		if err := c.compact(); err != nil {
			return errStore(err)
		}
	}
	return nil
}

// compact rewrites the log as one record per living document.
func (c *collection) compact() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.gone || c.log.length() <= 2*c.index.bytes+maxLogLoss {
		return nil
	}
	b, err := c.schema.encode()
	if err != nil {
		return err
	}
	return c.log.replace(func(yield func(record) bool) {
		if !yield(record{opSchema, b}) {
			return
		}
		for it := c.index.live.Iterator(); it.HasNext(); {
			if !yield(record{opPut, c.index.docs[it.Next()].raw}) {
				return
			}
		}
	})
}

// drop ends the collection; its log's file goes too.
func (c *collection) drop() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.gone = true
	return errors.Join(c.log.close(), os.Remove(c.log.path))
}

// snapshot returns the schema and the number of documents.
func (c *collection) snapshot() (*schema, int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.schema, len(c.index.byID)
}
