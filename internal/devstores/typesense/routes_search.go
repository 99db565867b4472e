package typesense

import (
	"maps"
	"net/http"
	"runtime"
)

// maxSearches bounds how many searches one request may hold.
const maxSearches = 50

func (s *Server) searchCollection(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	p := paramsOf(c.URL.Query())
	p.embed(c.access.embedded)
	f, err := col.search(p, s.catalog.now.Load(), false)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, f.answer(), nil
}

func (s *Server) multiSearch(c *call) (int, any, *apiError) {
	body, err := c.object()
	if err != nil {
		return 0, nil, err
	}
	m := s.catalog.now.Load()
	list, ok := body["searches"].([]any)
	if pr, named := m.Presets[c.query("preset")]; named && len(list) == 0 {
		stored, readErr := readObject(pr.Value)
		if readErr != nil {
			return 0, nil, badJSON(pr.Value, readErr)
		}
		list, ok = stored["searches"].([]any)
	}
	if !ok || len(list) == 0 {
		return 0, nil, badRequest("Missing `searches` array.")
	}
	limit, err := paramsOf(c.URL.Query()).count("limit_multi_searches", maxSearches)
	if err != nil {
		return 0, nil, err
	}
	if len(list) > min(limit, maxSearches) {
		return 0, nil, badRequest("Number of multi searches exceeds `limit_multi_searches` parameter.")
	}
	union, _ := body["union"].(bool)
	results, errs := make([]*found, len(list)), make([]*apiError, len(list))
	for i, one := range list {
		results[i], errs[i] = s.searchOne(c, m, one, union)
		if errs[i] == errForbidden {
			return 0, nil, errForbidden
		}
	}
	if union {
		for _, err := range errs {
			if err != nil {
				return err.Status, map[string]any{"code": err.Status, "error": err.Message}, nil
			}
		}
		answer, err := unite(results)
		return http.StatusOK, answer, err
	}
	answers := make([]any, len(list))
	for i, f := range results {
		if errs[i] != nil {
			answers[i] = map[string]any{"code": errs[i].Status, "error": errs[i].Message}
			continue
		}
		answers[i] = f.answer()
	}
	return http.StatusOK, map[string]any{"results": answers}, nil
}

// searchOne runs one search of several: its own parameters go before those of the URL.
func (s *Server) searchOne(c *call, m *manifest, one any, union bool) (*found, *apiError) {
	own, ok := one.(map[string]any)
	if !ok {
		return nil, badRequest("Each search must be an object.")
	}
	p := paramsOf(c.URL.Query())
	ownParams := params{}
	for k, v := range own {
		ownParams.set(k, v)
	}
	maps.Copy(p, ownParams)
	name := p["collection"]
	if !c.access.allows("documents:search", name) {
		return nil, errForbidden
	}
	p.embed(c.access.embedded)
	col, ok := m.collection(name)
	if !ok {
		return nil, notFound("Collection not found")
	}
	return col.search(p, m, union)
}

// stats are the figures the client library reads; requests are not counted here.
func (s *Server) stats(*call) (int, any, *apiError) {
	return http.StatusOK, map[string]any{
		"delete_latency_ms": 0, "delete_requests_per_second": 0, "import_latency_ms": 0, "import_requests_per_second": 0,
		"latency_ms": map[string]float64{}, "overloaded_requests_per_second": 0, "pending_write_batches": 0,
		"requests_per_second": map[string]float64{}, "search_latency_ms": 0, "search_requests_per_second": 0,
		"total_requests_per_second": 0, "write_latency_ms": 0, "write_requests_per_second": 0,
	}, nil
}

func (s *Server) metrics(*call) (int, any, *apiError) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return http.StatusOK, map[string]any{
		"system_memory_total_bytes": mem.Sys, "system_memory_used_bytes": mem.HeapInuse,
		"typesense_memory_active_bytes": mem.HeapInuse, "typesense_memory_allocated_bytes": mem.HeapAlloc,
		"typesense_memory_mapped_bytes": mem.Sys,
	}, nil
}
