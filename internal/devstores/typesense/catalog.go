package typesense

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// manifest is everything a server keeps besides documents. A published manifest never changes.
type manifest struct {
	Files        map[string]string      `json:"collections"` // name to log file
	NextFile     int                    `json:"next_file"`
	Aliases      map[string]string      `json:"aliases"`
	Keys         []apiKey               `json:"keys"`
	NextKey      int64                  `json:"next_key"`
	Presets      map[string]preset      `json:"presets"`
	Stopwords    map[string]stopwords   `json:"stopwords"`
	SynonymSets  map[string]synonymSet  `json:"synonym_sets"`
	CurationSets map[string]curationSet `json:"curation_sets"`

	open map[string]*collection
}

func (m *manifest) clone() *manifest {
	next := *m
	next.Files, next.Aliases, next.open = maps.Clone(m.Files), maps.Clone(m.Aliases), maps.Clone(m.open)
	next.Keys = slices.Clone(m.Keys)
	next.Presets, next.Stopwords = maps.Clone(m.Presets), maps.Clone(m.Stopwords)
	next.SynonymSets, next.CurationSets = maps.Clone(m.SynonymSets), maps.Clone(m.CurationSets)
	return &next
}

// collection finds a collection by its name or by an alias.
func (m *manifest) collection(name string) (*collection, bool) {
	c, ok := m.open[name]
	if !ok {
		c, ok = m.open[m.Aliases[name]]
	}
	return c, ok
}

// catalog keeps the manifest in a file and hands out the latest without a lock.
type catalog struct {
	dir     string
	log     *slog.Logger
	changes sync.Mutex
	now     atomic.Pointer[manifest]
}

const manifestFile = "manifest.json"

// openCatalog reads the manifest and opens every collection it names.
func openCatalog(dir string, log *slog.Logger) (*catalog, error) {
	m := &manifest{
		Files: map[string]string{}, Aliases: map[string]string{}, open: map[string]*collection{},
		Presets: map[string]preset{}, Stopwords: map[string]stopwords{},
		SynonymSets: map[string]synonymSet{}, CurationSets: map[string]curationSet{},
	}
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err == nil {
		err = json.Unmarshal(b, m)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	c := &catalog{dir: dir, log: log}
	if err := c.sweep(m); err != nil {
		return nil, err
	}
	for name, file := range m.Files {
		opened, err := openCollection(filepath.Join(dir, file), log)
		if err != nil {
			for _, o := range m.open {
				err = errors.Join(err, o.log.close())
			}
			return nil, err
		}
		m.open[name] = opened
	}
	c.now.Store(m)
	return c, nil
}

// sweep removes files that a crash left between two steps.
func (c *catalog) sweep(m *manifest) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	used := slices.Collect(maps.Values(m.Files))
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".log") && !slices.Contains(used, name) {
			if err := os.Remove(filepath.Join(c.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// change makes a new manifest durable and then current; with an error nothing has changed.
func (c *catalog) change(edit func(m *manifest) *apiError) *apiError {
	c.changes.Lock()
	defer c.changes.Unlock()
	next := c.now.Load().clone()
	if err := edit(next); err != nil {
		return err
	}
	b, err := json.Marshal(next)
	if err == nil {
		err = writeFile(filepath.Join(c.dir, manifestFile), b)
	}
	if err != nil {
		return errStore(err)
	}
	c.now.Store(next)
	return nil
}

// create adds an empty collection.
func (c *catalog) create(s *schema) *apiError {
	return c.change(func(m *manifest) *apiError {
		if _, taken := m.Files[s.Name]; taken {
			return refuse(409, "A collection with name `%s` already exists.", s.Name)
		}
		if _, taken := m.Aliases[s.Name]; taken {
			return refuse(409, "Name `%s` already used as an alias.", s.Name)
		}
		m.NextFile++
		file := fmt.Sprintf("%06d.log", m.NextFile)
		opened, err := createCollection(filepath.Join(c.dir, file), s)
		if err != nil {
			return errStore(err)
		}
		m.Files[s.Name], m.open[s.Name] = file, opened
		return nil
	})
}

// drop removes a collection and returns it as it was.
func (c *catalog) drop(name string) (map[string]any, *apiError) {
	var dropped *collection
	err := c.change(func(m *manifest) *apiError {
		opened, ok := m.open[name]
		if !ok {
			return notFound("No collection with name `%s` found.", name)
		}
		dropped = opened
		delete(m.Files, name)
		delete(m.open, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s, n := dropped.snapshot()
	if err := dropped.drop(); err != nil {
		return nil, errStore(err)
	}
	return s.describe(n), nil
}

// close ends every log.
func (c *catalog) close() (err error) {
	for _, opened := range c.now.Load().open {
		err = errors.Join(err, opened.log.close())
	}
	return err
}
