package catalog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// Save adds a product of the viewer's, or changes the one there is. The same input twice changes nothing.
func (c *Catalog) Save(ctx context.Context, who viewer.Viewer, in ProductInput) (Product, error) {
	sellerID, err := seller(who)
	if err != nil {
		return Product{}, err
	}
	saved, err := c.saveAll(ctx, sellerID, []ProductInput{in}, nil)
	if err != nil {
		return Product{}, err
	}
	return saved[0].Product, under(saved[0].Err, "input")
}

// Saved is what became of one input: the product as it is now, or what is wrong with it.
type Saved struct {
	Product Product
	Err     error
}

const saveAttempts = 20 // each lost to somebody who won

// saveAll saves inputs of one seller, each by itself: one that is refused does not keep the others out. No two may be
// about one product. It reads everything they need at once, decides, and writes at once; whatever lost a race against
// another writer is read and decided again. Its error is about the store: then some may be in, and saving all again is safe.
// A rehearsal changes nothing and tells what would become of each.
func (c *Catalog) saveAll(ctx context.Context, sellerID string, inputs []ProductInput, dry *rehearsal) ([]Saved, error) {
	write := c.store.WriteProducts
	if dry != nil {
		write = dry.write
	}
	out := make([]Saved, len(inputs))
	var open []*saving
	for i, in := range inputs {
		want, err := in.check()
		if err != nil {
			out[i].Err = err
			continue
		}
		open = append(open, &saving{want: want, sellerID: sellerID, result: &out[i]})
	}
	for range saveAttempts {
		if len(open) == 0 {
			return out, nil
		}
		if err := c.load(ctx, sellerID, open, dry == nil); err != nil {
			return nil, err
		}
		var changes []Change
		var changing []*saving
		for _, s := range open {
			if change := s.decide(c.now()); change != nil {
				changes, changing = append(changes, *change), append(changing, s)
			}
		}
		open = nil
		if len(changes) == 0 {
			return out, nil
		}
		errs, err := write(ctx, changes)
		if err != nil {
			return nil, err
		}
		for i, s := range changing {
			if s.settle(changes[i], errs[i]) {
				open = append(open, s)
			}
		}
	}
	if len(open) > 0 {
		return nil, ErrContended
	}
	return out, nil
}

// saving is one input on its way.
type saving struct {
	want     checked
	sellerID string
	result   *Saved

	old      *Product // what the input is about, nil for something new
	category Category
	slugs    int       // how many slugs were taken already
	clash    *TakenSKU // the SKU that kept a new product out
}

// load reads what the inputs are about, and where they belong.
func (c *Catalog) load(ctx context.Context, sellerID string, all []*saving, addCategories bool) error {
	var ids, externalIDs, skus, slugs []string
	var paths [][]string
	for _, s := range all {
		switch {
		case s.want.ID != "":
			ids = append(ids, s.want.ID)
		case s.want.ExternalID != "":
			externalIDs = append(externalIDs, s.want.ExternalID)
		case s.clash != nil:
			skus = append(skus, s.clash.SKU)
		}
		if len(s.want.CategoryPath) > 0 {
			paths = append(paths, s.want.CategoryPath)
		} else if !slices.Contains(slugs, s.want.CategorySlug) {
			slugs = append(slugs, s.want.CategorySlug)
		}
	}
	byKey := map[string]*Product{}
	for _, question := range []struct {
		keys []string
		ask  func() ([]Product, error)
		key  func(Product) []string
	}{
		{ids, func() ([]Product, error) { return c.store.ProductsByID(ctx, ids) },
			func(p Product) []string { return []string{"id " + p.ID} }},
		{externalIDs, func() ([]Product, error) { return c.store.ProductsOfSeller(ctx, sellerID, externalIDs) },
			func(p Product) []string { return []string{"external " + p.ExternalID} }},
		{skus, func() ([]Product, error) { return c.store.ProductsBySKU(ctx, skus) },
			func(p Product) (keys []string) {
				for _, v := range p.Variants {
					keys = append(keys, "sku "+v.SKU)
				}
				return keys
			}},
	} {
		if len(question.keys) == 0 {
			continue
		}
		found, err := question.ask()
		if err != nil {
			return err
		}
		for i := range found {
			for _, k := range question.key(found[i]) {
				byKey[k] = &found[i]
			}
		}
	}
	bySlug := map[string]Category{}
	if len(slugs) > 0 {
		found, err := c.CategoriesBySlug(ctx, slugs)
		if err != nil {
			return err
		}
		for _, cat := range found {
			bySlug[cat.Slug] = cat
		}
	}
	byPath, err := c.shelves(ctx, paths, addCategories)
	if err != nil {
		return err
	}
	for _, s := range all {
		switch {
		case s.want.ID != "":
			s.old = byKey["id "+s.want.ID]
		case s.want.ExternalID != "":
			s.old = byKey["external "+s.want.ExternalID]
		case s.clash != nil:
			s.old = byKey["sku "+s.clash.SKU]
		}
		if len(s.want.CategoryPath) > 0 {
			s.category = byPath[shelf(s.want.CategoryPath)]
		} else {
			s.category = bySlug[s.want.CategorySlug]
		}
	}
	return nil
}

// decide returns the change to make, or nil when the result is settled without one.
func (s *saving) decide(now time.Time) *Change {
	switch {
	case s.want.ID != "" && s.old == nil:
		s.result.Err = ErrNotFound.Says("no product has this id").At("id")
	case s.old != nil && s.old.SellerID != s.sellerID && s.clash == nil:
		s.result.Err = ErrNotOwner.At("id")
	case s.want.IfVersion != nil && s.old == nil:
		s.result.Err = ErrStale.Says("there is no version %d of a product that is new", *s.want.IfVersion).At("ifVersion")
	case s.want.IfVersion != nil && *s.want.IfVersion != s.old.Version:
		s.result.Err = ErrStale.Says("the product is at version %d", s.old.Version).At("ifVersion")
	case s.category.ID == "" && len(s.want.CategoryPath) == 0:
		s.result.Err = ErrNotFound.Says("no category has slug %.100s", s.want.CategorySlug).At("categorySlug")
	default:
		return s.change(now)
	}
	return nil
}

func (s *saving) change(now time.Time) *Change {
	if s.clash != nil && s.want.ID == "" && (s.old == nil || s.want.ExternalID == "") {
		// An input that names no product is the seller's product with this SKU if it would leave it as it is: that is
		// how the same input comes twice.
		if s.old != nil && s.old.SellerID == s.sellerID {
			if after, err := s.want.onto(*s.old, s.category); err == nil && after.same(*s.old) {
				s.result.Product = *s.old
				return nil
			}
		}
		s.result.Err = s.taken(s.clash)
		return nil
	}
	before := Product{ID: id.New(id.Product), SellerID: s.sellerID, CreatedAt: now}
	if s.old != nil {
		before = *s.old
	} else {
		base := slugOf(s.want.Title, "product")
		before.Slug = slugged(base, before.ID, []int{0, 4, 8, 26}[min(s.slugs, 3)])
	}
	after, err := s.want.onto(before, s.category)
	if err != nil {
		s.result.Err = err
		return nil
	}
	if s.old != nil && after.same(before) {
		s.result.Product = before
		return nil
	}
	return revise(before, after, now)
}

// revise returns the change that makes a product's next version of it.
func revise(before, after Product, now time.Time) *Change {
	after.Version, after.UpdatedAt = before.Version+1, now
	if after.Status == Active && after.PublishedAt == nil {
		after.PublishedAt = &now
	}
	return &Change{From: before.Version, After: after, Event: id.New(id.Event)}
}

// settle notes what the store said, and tells whether to try again.
func (s *saving) settle(change Change, err error) (again bool) {
	var taken *TakenSKU
	switch {
	case err == nil:
		s.result.Product = change.After
	case errors.Is(err, ErrMoved):
		return true
	case errors.Is(err, ErrSlugTaken):
		s.slugs++
		return true
	case errors.Is(err, ErrExternalIDTaken) && s.want.ID == "":
		return true // added by another at the same moment: now it is there to be changed
	case errors.Is(err, ErrExternalIDTaken):
		s.result.Err = invalid("another of your products has this external id").At("externalId")
	case errors.As(err, &taken) && change.From == 0 && s.clash == nil:
		s.clash = taken // by the very product this is about, perhaps, added at the same moment
		return true
	case errors.As(err, &taken):
		s.result.Err = s.taken(taken)
	default:
		s.result.Err = err
	}
	return false
}

func (s *saving) taken(t *TakenSKU) error {
	for i, v := range s.want.variants {
		if v.SKU == t.SKU {
			return ErrSKUTaken.Says("another product has SKU %s", t.SKU).At("variants", at(i), "sku")
		}
	}
	return ErrSKUTaken.At("variants")
}

// onto returns the product with everything the input says, and nothing else changed.
func (c checked) onto(p Product, category Category) (Product, error) {
	before := p
	p.Title, p.Description, p.Brand, p.Status = c.Title, c.Description, c.Brand, c.Status
	if c.ExternalID != "" {
		p.ExternalID = c.ExternalID
	}
	p.CategoryPath = category.Path()
	p.Attributes = c.attributes
	var faults Faults
	p.Variants, p.Retired = faults.match(c.variants, before)
	if len(p.Retired) > mostRetired {
		faults.Add(ErrTooLarge.Says("more than %d variants of this product are gone already; start a new one", mostRetired), "variants")
	}
	p.Linked = make([]Media, len(c.pictures))
	for i, address := range c.pictures {
		known := slices.IndexFunc(before.Linked, func(m Media) bool { return m.URL == address })
		if known >= 0 {
			p.Linked[i] = before.Linked[known]
		} else {
			p.Linked[i] = Media{ID: id.New(id.Media), Kind: Image, URL: address}
		}
	}
	return p, faults.Err()
}

// match gives the wanted variants their ids: those they name, else those of the variants with their SKU, else new ones.
// A variant that is not named any more retires; one that is named again comes back as what it was.
func (fs *Faults) match(wanted []Variant, before Product) (onOffer, retired []Variant) {
	known := slices.Concat(before.Variants, before.Retired)
	claimed := map[string]bool{}
	onOffer = slices.Clone(wanted)
	for i, v := range onOffer {
		if v.ID == "" {
			continue
		}
		if !slices.ContainsFunc(known, func(k Variant) bool { return k.ID == v.ID }) {
			fs.Add(ErrNotFound.Says("the product has no variant with this id"), "variants", at(i), "id")
		}
		claimed[v.ID] = true
	}
	for i, v := range onOffer {
		if v.ID != "" {
			continue
		}
		same := slices.IndexFunc(known, func(k Variant) bool { return k.SKU == v.SKU && !claimed[k.ID] })
		if same >= 0 {
			onOffer[i].ID = known[same].ID
		} else {
			onOffer[i].ID = id.New(id.Variant)
		}
		claimed[onOffer[i].ID] = true
	}
	for _, k := range slices.Concat(before.Retired, before.Variants) {
		if !claimed[k.ID] {
			retired = append(retired, k)
		}
	}
	return onOffer, retired
}

// Archive takes a product off the shop. Archiving it again changes nothing.
func (c *Catalog) Archive(ctx context.Context, who viewer.Viewer, productID string) (Product, error) {
	p, err := c.change(ctx, who, productID, []string{"id"}, func(p *Product) error {
		p.Status = Archived
		return nil
	})
	return p, under(err, "input")
}

// change changes a product of the viewer's, again and again until nobody else got between reading and writing.
func (c *Catalog) change(ctx context.Context, who viewer.Viewer, productID string, path []string, edit func(*Product) error) (Product, error) {
	sellerID, err := seller(who)
	if err != nil {
		return Product{}, err
	}
	if err := id.Check(id.Product, productID, path...); err != nil {
		return Product{}, err
	}
	for range saveAttempts {
		found, err := c.store.ProductsByID(ctx, []string{productID})
		switch {
		case err != nil:
			return Product{}, err
		case len(found) == 0:
			return Product{}, ErrNotFound.Says("no product has this id").At(path...)
		case found[0].SellerID != sellerID:
			return Product{}, ErrNotOwner.At(path...)
		}
		before, after := found[0], found[0]
		if err := edit(&after); err != nil {
			return Product{}, err
		}
		if after.same(before) {
			return before, nil
		}
		change := revise(before, after, c.now())
		errs, err := c.store.WriteProducts(ctx, []Change{*change})
		if err == nil {
			err = errs[0]
		}
		if err == nil {
			return change.After, nil
		}
		if !errors.Is(err, ErrMoved) {
			return Product{}, err
		}
	}
	return Product{}, ErrContended
}
