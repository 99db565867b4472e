package mongo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.mongodb.org/mongo-driver/bson"
)

// The file holds one bucket with a record for each collection, and one bucket of documents for each, by insertion order.
var (
	collectionsBucket = []byte("collections")
	documentsBucket   = []byte("documents")
)

const fileName = "mongo.db"

// store is all databases: served from memory, kept in one file.
type store struct {
	journal *journal

	mu          sync.RWMutex // guards the map and the last id; taken before a collection's lock
	collections map[namespace]*collection
	lastID      uint64
}

// openStore reads the file in dir, creating both if they are not there.
func openStore(ctx context.Context, dir string, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, fileName), 0o600, &bbolt.Options{
		Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: another process uses it", filepath.Join(dir, fileName))
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Join(dir, fileName), err)
	}
	s := &store{collections: map[namespace]*collection{}}
	if err := s.load(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("load %s: %w", db.Path(), err), db.Close())
	}
	s.journal = newJournal(db, log)
	return s, nil
}

func (s *store) close() error { return s.journal.close() }

func (s *store) load(ctx context.Context, db *bbolt.DB) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(collectionsBucket)
		if err != nil {
			return err
		}
		_, err = tx.CreateBucketIfNotExists(documentsBucket)
		return err
	})
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(collectionsBucket).ForEach(func(key, record []byte) error {
			c, err := readCollection(key, record)
			if err != nil {
				return err
			}
			s.collections[c.ns] = c
			s.lastID = max(s.lastID, c.id)
			return tx.Bucket(documentsBucket).Bucket(key).ForEach(func(seq, raw []byte) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return c.put(&document{seq: binary.BigEndian.Uint64(seq), raw: bytes.Clone(raw)}, nil)
			})
		})
	})
}

func readCollection(key, record []byte) (*collection, error) {
	doc, err := decode(record)
	if err != nil {
		return nil, err
	}
	var ns namespace
	ns.database, _ = lookup(doc, "database").(string)
	ns.collection, _ = lookup(doc, "collection").(string)
	c := newCollection(binary.BigEndian.Uint64(key), ns)
	specs, _ := lookup(doc, "indexes").(bson.A)
	indexes := c.indexes
	for _, v := range specs {
		spec, _ := v.(bson.D)
		ix, err := newIndex(spec)
		if err != nil {
			return nil, err
		}
		indexes = append(indexes, ix)
	}
	c.setIndexes(indexes)
	return c, nil
}

// saveRecord makes the collection's name and indexes durable; the caller holds the collection's lock, or alone knows it.
func (s *store) saveRecord(c *collection) (*commit, error) {
	specs := bson.A{}
	for _, ix := range c.indexes[1:] {
		specs = append(specs, ix.spec)
	}
	record, err := encode(bson.D{
		{Key: "database", Value: c.ns.database},
		{Key: "collection", Value: c.ns.collection},
		{Key: "indexes", Value: specs},
	})
	if err != nil {
		return nil, err
	}
	key := diskKey(c.id)
	return s.journal.record(func(tx *bbolt.Tx) error {
		if _, err := tx.Bucket(documentsBucket).CreateBucketIfNotExists(key); err != nil {
			return err
		}
		return tx.Bucket(collectionsBucket).Put(key, record)
	}), nil
}

func diskKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// collection is the one of this name, or nil.
func (s *store) collection(ns namespace) *collection {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.collections[ns]
}

// create makes a collection unless there is one; made says whether it did.
func (s *store) create(ns namespace) (done *commit, made bool, err error) {
	if err := ns.check(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.collections[ns] != nil {
		return nil, false, nil
	}
	c := newCollection(s.lastID+1, ns)
	if done, err = s.saveRecord(c); err != nil {
		return nil, false, err
	}
	s.lastID++
	s.collections[ns] = c
	return done, true, nil
}

// drop forgets a collection; existed says whether there was one.
func (s *store) drop(ns namespace) (done *commit, existed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collections[ns]
	if c == nil {
		return nil, false
	}
	return s.dropLocked(c), true
}

func (s *store) dropLocked(c *collection) *commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped = true
	delete(s.collections, c.ns)
	key := diskKey(c.id)
	return s.journal.record(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(documentsBucket).DeleteBucket(key); err != nil {
			return err
		}
		return tx.Bucket(collectionsBucket).Delete(key)
	})
}

// dropDatabase forgets all collections of a database.
func (s *store) dropDatabase(database string) (done *commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ns, c := range s.collections {
		if ns.database == database {
			done = s.dropLocked(c)
		}
	}
	return done
}

// list names the collections, of one database or of all.
func (s *store) list(database string) []namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []namespace
	for ns := range s.collections {
		if database == "" || ns.database == database {
			names = append(names, ns)
		}
	}
	slices.SortFunc(names, func(a, b namespace) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	return names
}

// change runs f on the collection alone, made first if need be, as one step that no reader sees half of.
func (s *store) change(ns namespace, f func(*writer) error) (*commit, error) {
	for {
		c := s.collection(ns)
		if c == nil {
			if _, _, err := s.create(ns); err != nil {
				return nil, err
			}
			continue
		}
		done, dropped, err := s.changeOne(c, f)
		if !dropped {
			return done, err
		}
	}
}

func (s *store) changeOne(c *collection, f func(*writer) error) (done *commit, dropped bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped {
		return nil, true, nil
	}
	w := &writer{collection: c, journal: s.journal}
	err = f(w)
	return w.done, false, err
}

// writer changes one collection, in memory and in the journal alike.
type writer struct {
	*collection
	journal *journal
	done    *commit // the last change it recorded
}

func (w *writer) insert(raw bson.Raw) error {
	return w.store(&document{seq: w.lastSeq + 1, raw: raw}, nil)
}

func (w *writer) replace(old *document, raw bson.Raw) error {
	return w.store(&document{seq: old.seq, raw: raw}, old)
}

func (w *writer) store(d, old *document) error {
	if err := w.put(d, old); err != nil {
		return err
	}
	bucket, key := diskKey(w.id), diskKey(d.seq)
	w.done = w.journal.record(func(tx *bbolt.Tx) error {
		b := tx.Bucket(documentsBucket).Bucket(bucket)
		b.FillPercent = 0.9 // keys only grow
		return b.Put(key, d.raw)
	})
	return nil
}

func (w *writer) delete(d *document) error {
	if err := w.remove(d); err != nil {
		return err
	}
	bucket, key := diskKey(w.id), diskKey(d.seq)
	w.done = w.journal.record(func(tx *bbolt.Tx) error {
		return tx.Bucket(documentsBucket).Bucket(bucket).Delete(key)
	})
	return nil
}

// find selects documents of a collection; there are none in one that does not exist.
func (s *store) find(ns namespace, q query) ([]*document, error) {
	found, _, err := s.explain(ns, q)
	return found, err
}

// explain is find that also tells what it cost.
func (s *store) explain(ns namespace, q query) ([]*document, work, error) {
	c := s.collection(ns)
	if c == nil {
		return nil, work{plan: plan{sorted: true}}, nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.find(q)
}
