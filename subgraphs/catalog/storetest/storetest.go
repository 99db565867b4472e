// Package storetest says what the catalogue needs of a store, whatever keeps it.
package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

// Run tests stores, each of which must be new and empty.
func Run(t *testing.T, open func(*testing.T) catalog.Store) {
	for name, test := range map[string]func(*testing.T, catalog.Store){
		"products are read as they were written": reads,
		"a change needs its version":             versions,
		"unique keys decide":                     uniqueKeys,
		"one refused change keeps no other out":  mixed,
		"of many writers one wins":               race,
		"what changed is told until it was told": promises,
		"categories":                             categories,
		"products are counted exactly":           counts,
		"uploads":                                uploads,
		"bulk operations are asked for once":     bulkKeys,
		"bulk operations are leased":             leases,
		"row errors come in order":               rowErrors,
		"what is old is found and removed":       old,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

var began = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func variant(sku string, cents int64, options ...catalog.Option) catalog.Variant {
	return catalog.Variant{ID: id.New(id.Variant), SKU: sku, Price: money.Money{Amount: cents, Currency: "USD"}, Options: options, WeightGrams: 100}
}

func product(slug string, variants ...catalog.Variant) catalog.Product {
	return catalog.Product{
		ID: id.New(id.Product), Slug: slug, SellerID: id.New(id.Seller), Version: 1, Status: catalog.Active, Title: slug,
		CategoryPath: []string{id.New(id.Category)}, Variants: variants, CreatedAt: began, UpdatedAt: began,
	}
}

func add(p catalog.Product) catalog.Change {
	return catalog.Change{After: p, Event: id.New(id.Event)}
}

func next(p catalog.Product) catalog.Change {
	p.Version++
	return catalog.Change{From: p.Version - 1, After: p, Event: id.New(id.Event)}
}

// write makes changes and wants them to end so.
func write(t *testing.T, s catalog.Store, want []error, changes ...catalog.Change) {
	t.Helper()
	errs, err := s.WriteProducts(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range changes {
		var got, wanted *catalog.TakenSKU
		switch {
		case errors.As(want[i], &wanted):
			if !errors.As(errs[i], &got) || got.SKU != wanted.SKU {
				t.Errorf("change %d: %v, want %v", i, errs[i], want[i])
			}
		case !errors.Is(errs[i], want[i]):
			t.Errorf("change %d: %v, want %v", i, errs[i], want[i])
		}
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func reads(t *testing.T, s catalog.Store) {
	before := money.Money{Amount: 2999, Currency: "USD"}
	shirt := product("shirt",
		variant("S-RED", 1999, catalog.Option{Name: "Size", Value: "S"}, catalog.Option{Name: "Colour", Value: "Red"}),
		variant("M-RED", 1999, catalog.Option{Name: "Size", Value: "M"}, catalog.Option{Name: "Colour", Value: "Red"}))
	shirt.Variants[0].CompareAt = &before
	shirt.ExternalID, shirt.Brand, shirt.Description = "x1", "Acme", "A shirt."
	shirt.Attributes = []catalog.Attribute{{Key: "fabric", Value: "Cotton"}, {Key: "weight", Value: "180", Unit: "g/m²"}}
	shirt.Retired = []catalog.Variant{variant("L-RED", 1899)}
	shirt.Linked = []catalog.Media{{ID: id.New(id.Media), Kind: catalog.Image, URL: "https://example.test/a.png"}}
	shirt.Attached = []catalog.Media{{ID: id.New(id.Media), Kind: catalog.Image, URL: "https://example.test/b.png", UploadID: id.New(id.Upload)}}
	shirt.PublishedAt = &began
	tv := product("tv", variant("TV", 99900))
	write(t, s, []error{nil, nil}, add(shirt), add(tv))

	ctx, all := t.Context(), must[[]catalog.Product](t)
	for name, got := range map[string][]catalog.Product{
		"id":              all(s.ProductsByID(ctx, []string{shirt.ID, id.New(id.Product)})),
		"slug":            all(s.ProductsBySlug(ctx, []string{"shirt", "unknown"})),
		"SKU":             all(s.ProductsBySKU(ctx, []string{"S-RED", "M-RED", "unknown"})),
		"variant":         all(s.ProductsByVariant(ctx, []string{shirt.Variants[1].ID, "unknown"})),
		"retired variant": all(s.ProductsByVariant(ctx, []string{shirt.Retired[0].ID})),
		"external id":     all(s.ProductsOfSeller(ctx, shirt.SellerID, []string{"x1", "x2"})),
	} {
		if diff := cmp.Diff([]catalog.Product{shirt}, got); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", name, diff)
		}
	}
	for name, got := range map[string][]catalog.Product{
		"a SKU that is gone":    all(s.ProductsBySKU(ctx, []string{"L-RED"})),
		"another's external id": all(s.ProductsOfSeller(ctx, tv.SellerID, []string{"x1"})),
		"nothing":               all(s.ProductsByID(ctx, nil)),
	} {
		if len(got) != 0 {
			t.Errorf("by %s: %v", name, got)
		}
	}
	if got := all(s.ProductsByID(ctx, []string{tv.ID, shirt.ID})); len(got) != 2 {
		t.Errorf("two ids: %v", got)
	}
}

func versions(t *testing.T, s catalog.Store) {
	a, b := product("a", variant("A", 1)), product("b", variant("B", 1))
	write(t, s, []error{nil, nil}, add(a), add(b))
	a2 := a
	a2.Title = "new"
	write(t, s, []error{nil}, next(a2))
	write(t, s, []error{catalog.ErrMoved}, next(a))
	write(t, s, []error{catalog.ErrMoved, nil, catalog.ErrMoved}, next(a), next(b), next(product("never added", variant("N", 1))))
	got := must[[]catalog.Product](t)(s.ProductsByID(t.Context(), []string{a.ID}))
	if len(got) != 1 || got[0].Title != "new" || got[0].Version != 2 {
		t.Errorf("%+v", got)
	}
}

func uniqueKeys(t *testing.T, s catalog.Store) {
	a := product("a", variant("A1", 1), variant("A2", 1))
	a.ExternalID = "x"
	write(t, s, []error{nil}, add(a))
	slug, sku, external, other := product("a", variant("B", 1)), product("b", variant("B", 1), variant("A2", 1)), product("c", variant("C", 1)), product("d", variant("D", 1))
	external.ExternalID, external.SellerID = "x", a.SellerID
	other.ExternalID = "x"
	write(t, s, []error{catalog.ErrSlugTaken, &catalog.TakenSKU{SKU: "A2"}, catalog.ErrExternalIDTaken, nil},
		add(slug), add(sku), add(external), add(other))

	other.Variants = append(slices.Clone(other.Variants), variant("A1", 1))
	write(t, s, []error{&catalog.TakenSKU{SKU: "A1"}}, next(other))
	a.Retired, a.Variants = a.Variants[:1], a.Variants[1:]
	write(t, s, []error{nil}, next(a)) // a variant that retires gives its SKU away
	write(t, s, []error{nil}, next(other))

	// Two products of one seller may both have no external id.
	one, two := product("one", variant("one", 1)), product("two", variant("two", 1))
	two.SellerID = one.SellerID
	write(t, s, []error{nil, nil}, add(one), add(two))
}

func mixed(t *testing.T, s catalog.Store) {
	var changes []catalog.Change
	want := make([]error, 120)
	for i := range want {
		sku := fmt.Sprintf("SKU%d", i)
		if i%40 == 39 {
			sku, want[i] = "SKU0", &catalog.TakenSKU{SKU: "SKU0"}
		}
		changes = append(changes, add(product(fmt.Sprintf("p%d", i), variant(sku, 1))))
	}
	write(t, s, want, changes...)
}

func race(t *testing.T, s catalog.Store) {
	p := product("p", variant("P", 1))
	write(t, s, []error{nil}, add(p))
	const writers = 8
	results := make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			mine := p
			mine.Title = fmt.Sprint("writer ", i)
			errs, err := s.WriteProducts(t.Context(), []catalog.Change{next(mine)})
			if err == nil {
				err = errs[0]
			}
			results[i] = err
		})
	}
	all.Wait()
	won := -1
	for i, err := range results {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil:
			t.Errorf("writers %d and %d both won", won, i)
		case !errors.Is(err, catalog.ErrMoved):
			t.Error(err)
		}
	}
	got := must[[]catalog.Product](t)(s.ProductsByID(t.Context(), []string{p.ID}))
	if got[0].Title != fmt.Sprint("writer ", won) || got[0].Version != 2 {
		t.Errorf("writer %d won, but it is %q at version %d", won, got[0].Title, got[0].Version)
	}
}

func promises(t *testing.T, s catalog.Store) {
	a, b := product("a", variant("A", 1)), product("b", variant("B", 1))
	first, second := add(a), add(b)
	write(t, s, []error{nil, nil}, first, second)
	select {
	case <-s.Changed():
	default:
		t.Error("a write does not ring")
	}
	untold := func(want ...string) []catalog.Untold {
		t.Helper()
		found := must[[]catalog.Untold](t)(s.Untold(t.Context(), 10))
		var got []string
		for _, u := range found {
			got = append(got, u.Event)
		}
		if !slices.Equal(got, want) {
			t.Errorf("untold %v, want %v", got, want)
		}
		return found
	}
	waiting := untold(first.Event, second.Event)
	if w := waiting[0]; w.Product.ID != a.ID || !w.Since.Equal(began) {
		t.Errorf("%+v", w)
	}
	if few := must[[]catalog.Untold](t)(s.Untold(t.Context(), 1)); len(few) != 1 || few[0].Event != first.Event {
		t.Errorf("one of two: %v", few)
	}
	third := next(a)
	write(t, s, []error{nil}, third) // between reading and telling
	if err := s.Told(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	waiting = untold(third.Event)
	if err := s.Told(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	untold()
	got := must[[]catalog.Product](t)(s.ProductsByID(t.Context(), []string{a.ID}))
	if got[0].Version != 2 {
		t.Errorf("telling changed the product: %+v", got[0])
	}
	write(t, s, []error{nil}, next(third.After)) // and after it was told, it changes as before
}

func categories(t *testing.T, s catalog.Store) {
	ctx := t.Context()
	top := catalog.Category{ID: id.New(id.Category), Slug: "phones", Name: "Phones"}
	below := catalog.Category{ID: id.New(id.Category), Slug: "cases", Name: "Cases", ParentID: top.ID, Ancestors: []string{top.ID}}
	alone := catalog.Category{ID: id.New(id.Category), Slug: "books", Name: "Books"}
	for _, c := range []catalog.Category{top, below, alone} {
		if err := s.AddCategory(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		again catalog.Category
		want  error
	}{
		{catalog.Category{ID: id.New(id.Category), Slug: "other", Name: "PHONES"}, catalog.ErrNameTaken},
		{catalog.Category{ID: id.New(id.Category), Slug: "phones", Name: "Telephones"}, catalog.ErrSlugTaken},
		{catalog.Category{ID: id.New(id.Category), Slug: "other-cases", Name: "cases"}, nil}, // elsewhere
	} {
		if err := s.AddCategory(ctx, c.again); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.again.Name, err, c.want)
		}
	}
	all := must[[]catalog.Category](t)
	for name, got := range map[string][]catalog.Category{
		"id":   all(s.CategoriesByID(ctx, []string{below.ID, "unknown"})),
		"slug": all(s.CategoriesBySlug(ctx, []string{"cases"})),
		"name": all(s.CategoriesNamed(ctx, []catalog.CategoryName{{ParentID: top.ID, Key: "cases"}, {ParentID: alone.ID, Key: "cases"}, {ParentID: "", Key: "nothing"}})),
	} {
		if diff := cmp.Diff([]catalog.Category{below}, got); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", name, diff)
		}
	}
	children := must[map[string][]catalog.Category](t)(s.ChildrenOf(ctx, []string{"", top.ID, alone.ID}))
	var names []string
	for _, c := range children[""] {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"Books", "cases", "Phones"}) || len(children[top.ID]) != 1 || len(children[alone.ID]) != 0 {
		t.Errorf("children %v", children)
	}
}

func counts(t *testing.T, s catalog.Store) {
	top, left, right, empty := id.New(id.Category), id.New(id.Category), id.New(id.Category), id.New(id.Category)
	var changes []catalog.Change
	for i, c := range []struct {
		path   []string
		status catalog.Status
	}{
		{[]string{top}, catalog.Active}, {[]string{top, left}, catalog.Active}, {[]string{top, left}, catalog.Active},
		{[]string{top, right}, catalog.Active}, {[]string{top, right}, catalog.Draft}, {[]string{top, right}, catalog.Archived},
	} {
		p := product(fmt.Sprint("p", i), variant(fmt.Sprint("SKU", i), 1))
		p.CategoryPath, p.Status = c.path, c.status
		changes = append(changes, add(p))
	}
	write(t, s, make([]error, len(changes)), changes...)
	got := map[string]int{}
	for _, n := range must[[]catalog.ProductCount](t)(s.ProductCounts(t.Context(), []string{top, left, right, empty})) {
		got[n.CategoryID] = n.Products
	}
	if got[top] != 4 || got[left] != 2 || got[right] != 1 || got[empty] != 0 {
		t.Errorf("top %d, left %d, right %d, empty %d", got[top], got[left], got[right], got[empty])
	}
}

func uploads(t *testing.T, s catalog.Store) {
	u := catalog.Upload{ID: id.New(id.Upload), SellerID: id.New(id.Seller), Filename: "a.png", MimeType: "image/png", Bytes: 1 << 30, Key: "media/a.png", CreatedAt: began}
	if err := s.AddUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	got := must[[]catalog.Upload](t)(s.UploadsByID(t.Context(), []string{u.ID, "unknown"}))
	if diff := cmp.Diff([]catalog.Upload{u}, got); diff != "" {
		t.Error(diff)
	}
}

func bulk(seller, key string) catalog.BulkOperation {
	return catalog.BulkOperation{
		ID: id.New(id.BulkOperation), SellerID: seller, IdempotencyKey: key, InputHash: "hash", BlobKey: "feeds/a.jsonl",
		Format: catalog.JSONL, OnError: catalog.RejectRows, Status: catalog.Queued, Phase: catalog.Counting, CreatedAt: began,
	}
}

func bulkKeys(t *testing.T, s catalog.Store) {
	ctx, one := t.Context(), must[catalog.BulkOperation](t)
	a := bulk(id.New(id.Seller), "key")
	added := make([]catalog.BulkOperation, 6)
	var all sync.WaitGroup
	for i := range added {
		all.Go(func() {
			again := a
			again.ID = id.New(id.BulkOperation)
			added[i], _ = s.AddBulk(ctx, again)
		})
	}
	all.Wait()
	for _, b := range added[1:] {
		if b.ID == "" || b.ID != added[0].ID {
			t.Errorf("one key made %s and %s", added[0].ID, b.ID)
		}
	}
	select {
	case <-s.BulkAdded():
	default:
		t.Error("an added operation does not ring")
	}
	if other := one(s.AddBulk(ctx, bulk(id.New(id.Seller), "key"))); other.ID == added[0].ID {
		t.Error("keys of two sellers are one")
	}
	found := must[[]catalog.BulkOperation](t)(s.BulksByID(ctx, []string{added[0].ID}))
	want := a
	want.ID = added[0].ID
	if diff := cmp.Diff([]catalog.BulkOperation{want}, found); diff != "" {
		t.Error(diff)
	}
}

func leases(t *testing.T, s catalog.Store) {
	ctx := t.Context()
	claim := func(holder string, at time.Time, want string, wantClaims int) *catalog.BulkOperation {
		t.Helper()
		b, err := s.ClaimBulk(ctx, holder, at, at.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		got, claims := "", 0
		if b != nil {
			got, claims = b.ID, b.Claims
		}
		if got != want || claims != wantClaims {
			t.Fatalf("%s got %q, %d times claimed; want %q, %d", holder, got, claims, want, wantClaims)
		}
		return b
	}
	claim("ann", began, "", 0)
	first := must[catalog.BulkOperation](t)(s.AddBulk(ctx, bulk(id.New(id.Seller), "1")))
	second := must[catalog.BulkOperation](t)(s.AddBulk(ctx, bulk(id.New(id.Seller), "2")))
	b := claim("ann", began, first.ID, 1)
	if b.Status != catalog.Running {
		t.Errorf("claimed, but %s", b.Status)
	}
	claim("bob", began, second.ID, 1)
	claim("cid", began.Add(59*time.Second), "", 0)
	claim("cid", began.Add(time.Minute), first.ID, 2) // ann was killed

	total, why, at := 7, "broken", began.Add(time.Hour)
	b.Phase, b.Cursor, b.Claims, b.Total, b.Processed, b.Succeeded, b.Failed = catalog.Importing, 5, 0, &total, 5, 3, 2
	if err := s.SaveBulk(ctx, *b, "ann", began.Add(time.Hour)); !errors.Is(err, catalog.ErrLeaseLost) {
		t.Errorf("ann saves what cid has: %v", err)
	}
	if err := s.KeepBulk(ctx, b.ID, "ann", began.Add(time.Hour)); !errors.Is(err, catalog.ErrLeaseLost) {
		t.Errorf("ann keeps what cid has: %v", err)
	}
	if err := s.SaveBulk(ctx, *b, "cid", began.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepBulk(ctx, b.ID, "cid", began); err != nil { // gives it back
		t.Fatal(err)
	}
	b.Claims = 1 // counted from what was saved
	got := claim("dan", began, first.ID, 1)
	if diff := cmp.Diff(b, got); diff != "" {
		t.Error(diff)
	}
	got.Status, got.Failure, got.FinishedAt = catalog.Failed, &why, &at
	if err := s.SaveBulk(ctx, *got, "dan", began); err != nil {
		t.Fatal(err)
	}
	found := must[[]catalog.BulkOperation](t)(s.BulksByID(ctx, []string{first.ID}))
	if diff := cmp.Diff([]catalog.BulkOperation{*got}, found); diff != "" {
		t.Error(diff)
	}
	claim("eve", began.Add(time.Minute), second.ID, 2) // never the finished one
}

func rowErrors(t *testing.T, s catalog.Store) {
	ctx, rows := t.Context(), must[[]catalog.RowError](t)
	bulkID, other := id.New(id.BulkOperation), id.New(id.BulkOperation)
	of := func(row int, message string) catalog.RowError {
		return catalog.RowError{Row: row, ExternalID: "x", Faults: catalog.Faults{
			{Kind: fault.Invalid, Code: "INVALID", Message: message, Field: []string{"variants", "0"}},
			{Kind: fault.Conflict, Code: "SKU_TAKEN", Message: "taken"},
		}}
	}
	save := func(bulkID string, rows ...catalog.RowError) {
		t.Helper()
		if err := s.SaveRowErrors(ctx, bulkID, rows); err != nil {
			t.Fatal(err)
		}
	}
	save(bulkID)
	save(bulkID, of(12, "a"), of(3, "b"))
	save(bulkID, of(100, "c"), of(12, "again"))
	save(other, of(5, "of another"))
	if diff := cmp.Diff([]catalog.RowError{of(3, "b"), of(12, "again"), of(100, "c")}, rows(s.RowErrors(ctx, bulkID, 0, 10))); diff != "" {
		t.Error(diff)
	}
	if got := rows(s.RowErrors(ctx, bulkID, 3, 1)); len(got) != 1 || got[0].Row != 12 {
		t.Errorf("one behind 3: %v", got)
	}
	if err := s.DropRowErrors(ctx, bulkID, 3); err != nil {
		t.Fatal(err)
	}
	if got := rows(s.RowErrors(ctx, bulkID, 0, 10)); len(got) != 1 || got[0].Row != 3 {
		t.Errorf("after dropping: %v", got)
	}
	if got := rows(s.RowErrors(ctx, other, 0, 10)); len(got) != 1 {
		t.Errorf("of another: %v", got)
	}
}
