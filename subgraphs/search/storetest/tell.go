package storetest

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/subgraphs/search"
)

// story is everything that happens to one product: it ends as an Edge in stock with four stars.
func story() (p events.ProductSaved, told []any) {
	p = product("First name", attribute("old", "gone"))
	first := p
	p.Version, p.Title, p.Attributes = 3, "Last name", nil
	draft := p
	draft.Version, draft.Status = 2, "DRAFT"
	return p, []any{
		first, draft, p, stock(p, 1, 5), stock(p, 2, 0), stock(p, 3, 1), rated(p, 1, 1, 1), rated(p, 2, 2.5, 2), rated(p, 3, 4, 3),
	}
}

// told is how a product stands after its story.
func (s *shop) told(p events.ProductSaved) {
	s.Helper()
	yes, seller := true, p.SellerID
	found := s.find(search.Query{Filter: search.Filter{SellerID: &seller, InStock: &yes, MinRating: ref(4.0)}, Facets: true})
	if len(found.Edges) != 1 || found.Edges[0].Node.Title != "Last name" || facet(found, "attributes.old").Key != "" {
		s.Errorf("%s ends as %+v", p.ProductID, s.find(search.Query{Filter: search.Filter{SellerID: &seller}, Facets: true}))
	}
	if got := s.find(search.Query{Filter: search.Filter{SellerID: &seller, MinRating: ref(4.01)}}).Total; got != 0 {
		s.Errorf("a rating of 4 is above 4.01")
	}
	if got := s.find(search.Query{Text: "gone", Filter: search.Filter{SellerID: &seller}}).Total; got != 0 {
		s.Errorf("an attribute that was taken away is still found")
	}
}

func anyOrder(s *shop) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		p, told := story()
		told = append(told, told...) // everything is told twice
		random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		for len(told) > 0 {
			n := 1 + random.IntN(len(told))
			s.tell(told[:n]...)
			told = told[n:]
		}
		s.told(p)
	}
}

func race(s *shop) {
	for round := range 15 {
		random := rand.New(rand.NewPCG(3, uint64(round)))
		p, told := story()
		other, more := story()
		told = append(told, more...)
		random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		var wg sync.WaitGroup
		for batch := range slices.Chunk(told, 3) {
			wg.Go(func() { s.tell(batch...) })
		}
		wg.Wait()
		s.told(p)
		s.told(other)
	}
}

func status(s *shop) {
	p := product("Lamp")
	s.tell(stock(p, 1, 1), rated(p, 1, 5, 1))
	s.want(search.Query{}, "")
	version := func(n int, status string) events.ProductSaved { p.Version, p.Status = n, status; return p }
	for _, c := range []struct {
		e    events.ProductSaved
		want string
	}{
		{version(1, "DRAFT"), ""}, {version(2, "ACTIVE"), "Lamp"}, {version(5, "ARCHIVED"), ""}, {version(4, "ACTIVE"), ""}, {version(2, "ACTIVE"), ""},
		{version(6, "ACTIVE"), "Lamp"},
	} {
		s.tell(c.e)
		s.want(search.Query{Text: "lamp", Filter: search.Filter{InStock: ref(true), MinRating: ref(5.0)}}, c.want)
		s.want(search.Query{}, c.want)
		if all, err := s.search.Suggest(s.Context(), "lamp", nil); err != nil || (len(all) == 1) != (c.want != "") {
			s.Errorf("suggested %v, %v", all, err)
		}
	}
	none := product("Nothing to buy")
	none.Variants = nil
	s.tell(none)
	s.want(search.Query{Text: "nothing"}, "")
}
