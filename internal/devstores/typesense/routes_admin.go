package typesense

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

func (s *Server) listCollections(c *call) (int, any, *apiError) {
	type line struct {
		schema    *schema
		documents int
	}
	var lines []line
	for _, open := range s.catalog.now.Load().open {
		sch, n := open.snapshot()
		if c.access.allows("collections:list", sch.Name) {
			lines = append(lines, line{sch, n})
		}
	}
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(b.schema.CreatedAt, a.schema.CreatedAt), cmp.Compare(a.schema.Name, b.schema.Name))
	})
	p := paramsOf(c.URL.Query())
	offset, err := p.count("offset", 0)
	if err != nil {
		return 0, nil, err
	}
	limit, err := p.count("limit", len(lines))
	if err != nil {
		return 0, nil, err
	}
	lines = lines[min(offset, len(lines)):]
	out := []map[string]any{}
	for _, l := range lines[:min(limit, len(lines))] {
		described := l.schema.describe(l.documents)
		for _, name := range p.names("exclude_fields") {
			delete(described, name)
		}
		out = append(out, described)
	}
	return http.StatusOK, out, nil
}

func (s *Server) createCollection(c *call) (int, any, *apiError) {
	body, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	sch, err := newSchema(body, time.Now().Unix())
	if err != nil {
		return 0, nil, err
	}
	if err := s.catalog.create(sch); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, sch.describe(0), nil
}

func (s *Server) getCollection(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	sch, n := col.snapshot()
	return http.StatusOK, sch.describe(n), nil
}

func (s *Server) alterCollection(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	body, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	answer, err := col.alter(body)
	return http.StatusOK, answer, err
}

func (s *Server) dropCollection(c *call) (int, any, *apiError) {
	was, err := s.catalog.drop(c.PathValue("collection"))
	return http.StatusOK, was, err
}

// alias is a name that stands for a collection.
type alias struct {
	Collection string `json:"collection_name"`
	Name       string `json:"name"`
}

func (s *Server) listAliases(*call) (int, any, *apiError) {
	aliases := s.catalog.now.Load().Aliases
	out := []alias{}
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		out = append(out, alias{aliases[name], name})
	}
	return http.StatusOK, map[string]any{"aliases": out}, nil
}

func (s *Server) getAlias(c *call) (int, any, *apiError) {
	name := c.PathValue("alias")
	target, ok := s.catalog.now.Load().Aliases[name]
	if !ok {
		return 0, nil, notFound("Not Found")
	}
	return http.StatusOK, alias{target, name}, nil
}

func (s *Server) putAlias(c *call) (int, any, *apiError) {
	body, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	var r struct {
		Collection *string `json:"collection_name"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return 0, nil, badJSON(body, err)
	}
	if r.Collection == nil {
		return 0, nil, badRequest("Parameter `collection_name` is required.")
	}
	a := alias{Collection: *r.Collection, Name: c.PathValue("alias")}
	err = s.catalog.change(func(m *manifest) *apiError {
		if _, taken := m.open[a.Name]; taken {
			return refuse(http.StatusInternalServerError, "Name `%s` conflicts with an existing collection name.", a.Name)
		}
		m.Aliases[a.Name] = a.Collection
		return nil
	})
	return http.StatusOK, a, err
}

func (s *Server) deleteAlias(c *call) (int, any, *apiError) {
	a := alias{Name: c.PathValue("alias")}
	err := s.catalog.change(func(m *manifest) *apiError {
		target, ok := m.Aliases[a.Name]
		if !ok {
			return notFound("Not Found")
		}
		a.Collection = target
		delete(m.Aliases, a.Name)
		return nil
	})
	return http.StatusOK, a, err
}

func (s *Server) listKeys(*call) (int, any, *apiError) {
	out := []map[string]any{}
	for _, k := range s.catalog.now.Load().Keys {
		out = append(out, k.describe())
	}
	return http.StatusOK, map[string]any{"keys": out}, nil
}

func (s *Server) createKey(c *call) (int, any, *apiError) {
	body, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	k, err := newKey(body)
	if err != nil {
		return 0, nil, err
	}
	err = s.catalog.change(func(m *manifest) *apiError {
		if k.Value == s.apiKey || slices.ContainsFunc(m.Keys, func(o apiKey) bool { return o.Value == k.Value }) {
			return refuse(http.StatusConflict, "API key generation conflict.")
		}
		k.ID = m.NextKey
		m.NextKey++
		m.Keys = append(m.Keys, k)
		return nil
	})
	return http.StatusCreated, k, err
}

func (s *Server) getKey(c *call) (int, any, *apiError) {
	id, err := strconv.ParseInt(c.PathValue("id"), 10, 64)
	for _, k := range s.catalog.now.Load().Keys {
		if err == nil && k.ID == id {
			return http.StatusOK, k.describe(), nil
		}
	}
	return 0, nil, notFound("Not found.")
}

func (s *Server) deleteKey(c *call) (int, any, *apiError) {
	id, parseErr := strconv.ParseInt(c.PathValue("id"), 10, 64)
	err := s.catalog.change(func(m *manifest) *apiError {
		at := slices.IndexFunc(m.Keys, func(k apiKey) bool { return parseErr == nil && k.ID == id })
		if at < 0 {
			return notFound("Not found.")
		}
		m.Keys = slices.Delete(m.Keys, at, at+1)
		return nil
	})
	return http.StatusOK, map[string]int64{"id": id}, err
}
