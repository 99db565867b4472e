package typesense

import (
	"cmp"
	"slices"
)

// unite merges the results of several searches into one list, as multi_search does with union.
func unite(results []*found) (map[string]any, *apiError) {
	first := results[0]
	type entry struct {
		row
		from int
	}
	var all []entry
	total, outOf, cut := 0, 0, false
	requests := []map[string]any{}
	seen := map[string]bool{}
	counted := map[string]bool{}
	for i, f := range results {
		if len(f.r.groupBy) > 0 {
			return nil, badRequest("Union search does not support `group_by`.")
		}
		if len(f.r.sort) != len(first.r.sort) {
			return nil, badRequest("Expected size of `sort_by` parameter of all searches to be equal.")
		}
		total, cut = total+f.count, cut || f.cutOff
		if !counted[f.collection] {
			outOf += f.outOf
			counted[f.collection] = true
		}
		requests = append(requests, map[string]any{
			"collection_name": f.collection, "first_q": f.text.String(), "found": f.count, "per_page": f.r.perPage, "q": f.r.q,
		})
		for _, r := range f.rows {
			if id := f.collection + "\x00" + string(r.raw); !seen[id] {
				seen[id] = true
				all = append(all, entry{r, i})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int {
		if a.pinned != b.pinned {
			return cmp.Compare(boolKey(b.pinned), boolKey(a.pinned))
		}
		return slices.Compare(b.keys[:], a.keys[:])
	})
	hits := []hitAnswer{}
	for _, e := range all[min(len(all), first.r.offset):min(len(all), first.r.offset+first.r.perPage)] {
		f := results[e.from]
		h := f.hits([]row{e.row})[0]
		h.Collection, h.SearchIndex = f.collection, &e.from
		hits = append(hits, h)
	}
	return map[string]any{
		"found": total, "hits": hits, "out_of": outOf, "page": first.r.page, "search_cutoff": cut, "search_time_ms": 0,
		"union_request_params": requests,
	}, nil
}
