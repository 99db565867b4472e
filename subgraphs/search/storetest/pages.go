package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/subgraphs/search"
)

// through pages through all finds and returns their titles.
func (s *shop) through(q search.Query, between func(page int)) []string {
	s.Helper()
	var seen []string
	for page := 0; ; page++ {
		found := s.find(q)
		for _, n := range found.Nodes() {
			seen = append(seen, n.Title)
		}
		if found.Info.HasPreviousPage != (q.After != nil) {
			s.Errorf("page %d: %+v", page, found.Info)
		}
		if !found.Info.HasNextPage {
			return seen
		}
		if page > 200 {
			s.Fatal("no end")
		}
		q.After = found.Info.EndCursor
		if between != nil {
			between(page)
		}
	}
}

func pages(s *shop) {
	const n = 600
	var all []any
	for i := range n {
		p := product(fmt.Sprint("Lamp number ", i), priced(int64(100+i%3), []string{"USD", "EUR"}[i%7/6]))
		p.CreatedAt = began.Add(time.Duration(i%5) * time.Second)
		all = append(all, p, rated(p, 1, float64(i%4), i%2))
	}
	for lot := range slices.Chunk(all, 200) {
		s.tell(lot...)
	}
	for _, text := range []string{"", "lamp"} {
		for _, sort := range []search.Sort{search.Relevance, search.Newest, search.PriceAsc, search.PriceDesc, search.TopRated} {
			for _, first := range []int{250, 70} {
				seen := s.through(search.Query{Text: text, Sort: sort, First: &first}, nil)
				slices.Sort(seen)
				if len(seen) != n || len(slices.Compact(seen)) != n {
					s.Errorf("%q by %s, %d a page: saw %d, %d of them different", text, sort, first, len(seen), len(slices.Compact(seen)))
				}
			}
		}
	}
	if got := s.find(search.Query{First: ref(1)}).Total; got != n {
		s.Errorf("%d in all", got)
	}
}

// Where places are ranks, what comes and goes moves no other product off its page.
func moving(s *shop) {
	var all []any
	var products []events.ProductSaved
	for i := range 30 {
		p := product(fmt.Sprint("Lamp ", i), priced(int64(100+i/4), "USD"))
		products, all = append(products, p), append(all, p)
	}
	s.tell(all...)
	gone := 0
	seen := s.through(search.Query{Sort: search.PriceAsc, First: ref(5)}, func(page int) {
		archived := products[page] // on an earlier page
		archived.Version, archived.Status = 2, "ARCHIVED"
		s.tell(product(fmt.Sprint("New ", page), priced(1, "USD")), archived)
		gone++
	})
	slices.Sort(seen)
	if len(seen) != 30 || len(slices.Compact(seen)) != 30 {
		s.Errorf("saw %d of 30 while %d went: %q", len(seen), gone, seen)
	}
}
