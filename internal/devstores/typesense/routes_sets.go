package typesense

import (
	"maps"
	"net/http"
	"slices"
)

// namedSets are the small things a server keeps by name besides collections; they all answer the same five requests.
func (s *Server) namedSets() []routed {
	return []routed{
		namedSet[preset]{
			s: s, path: "presets", list: "presets",
			of: func(m *manifest) map[string]preset { return m.Presets }, read: newPreset,
			deleted: func(p preset) any { return p },
		},
		namedSet[stopwords]{
			s: s, path: "stopwords", list: "stopwords",
			of: func(m *manifest) map[string]stopwords { return m.Stopwords }, read: newStopwords,
			deleted: func(w stopwords) any { return map[string]string{"id": w.ID} },
			one:     func(w stopwords) any { return map[string]any{"stopwords": w} },
		},
		namedSet[synonymSet]{
			s: s, path: "synonym_sets",
			of: func(m *manifest) map[string]synonymSet { return m.SynonymSets }, read: newSynonymSet,
			deleted: func(x synonymSet) any { return map[string]string{"name": x.Name} },
		},
		namedSet[curationSet]{
			s: s, path: "curation_sets",
			of: func(m *manifest) map[string]curationSet { return m.CurationSets }, read: newCurationSet,
			deleted: func(x curationSet) any { return map[string]string{"name": x.Name} },
		},
	}
}

type route struct {
	pattern, action string
	h               handler
}

type routed interface{ routes() []route }

// namedSet serves one kind of named thing.
type namedSet[T any] struct {
	s       *Server
	path    string
	list    string // the member a listing wraps its array in; empty for none
	of      func(*manifest) map[string]T
	read    func(name string, body []byte) (T, *apiError)
	deleted func(T) any // what a deletion answers
	one     func(T) any // what a get answers when it is not the thing itself
}

func (n namedSet[T]) routes() []route {
	return []route{
		{"GET /" + n.path, n.path + ":list", n.all},
		{"GET /" + n.path + "/{name}", n.path + ":get", n.get},
		{"PUT /" + n.path + "/{name}", n.path + ":upsert", n.put},
		{"DELETE /" + n.path + "/{name}", n.path + ":delete", n.delete},
	}
}

func (n namedSet[T]) all(*call) (int, any, *apiError) {
	set := n.of(n.s.catalog.now.Load())
	out := []T{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		out = append(out, set[name])
	}
	if n.list == "" {
		return http.StatusOK, out, nil
	}
	return http.StatusOK, map[string]any{n.list: out}, nil
}

func (n namedSet[T]) get(c *call) (int, any, *apiError) {
	v, ok := n.of(n.s.catalog.now.Load())[c.PathValue("name")]
	switch {
	case !ok:
		return 0, nil, n.missing()
	case n.one != nil:
		return http.StatusOK, n.one(v), nil
	}
	return http.StatusOK, v, nil
}

func (n namedSet[T]) missing() *apiError { return notFound("Not found.") }

func (n namedSet[T]) put(c *call) (int, any, *apiError) {
	body, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	v, err := n.read(c.PathValue("name"), body)
	if err != nil {
		return 0, nil, err
	}
	err = n.s.catalog.change(func(m *manifest) *apiError {
		n.of(m)[c.PathValue("name")] = v
		return nil
	})
	return http.StatusOK, v, err
}

func (n namedSet[T]) delete(c *call) (int, any, *apiError) {
	var was T
	err := n.s.catalog.change(func(m *manifest) *apiError {
		v, ok := n.of(m)[c.PathValue("name")]
		if !ok {
			return n.missing()
		}
		was = v
		delete(n.of(m), c.PathValue("name"))
		return nil
	})
	return http.StatusOK, n.deleted(was), err
}
