package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Seller is somebody who sells in the shop.
type Seller struct {
	ID        string
	AccountID string
	Slug      string // unique, for URLs
	Name      string // unique without regard to case and spacing
	Tier      Tier
	TaxID     string
	Since     time.Time
}

// Key returns the seller's id.
func (s Seller) Key() string { return s.ID }

// IsEntity lets other subgraphs refer to sellers.
func (Seller) IsEntity() {}

// A Tier is how a seller works.
type Tier string

// The ways in which a seller works.
const (
	Individual   Tier = "INDIVIDUAL"
	Professional Tier = "PROFESSIONAL"
)

type sellerStore interface {
	// AddSeller refuses with ErrAlreadySeller, ErrNameTaken, ErrSlugTaken or ErrNoAccount.
	AddSeller(ctx context.Context, s Seller) error
	// SellerOf returns as whom an account sells, or nil.
	SellerOf(ctx context.Context, accountID string) (*Seller, error)
	SellerBySlug(ctx context.Context, slug string) (*Seller, error)
}

// The refusals of a seller.
var (
	ErrAlreadySeller = fault.New(fault.Conflict, "ALREADY_SELLER", "this account sells already, under another name")
	ErrNameTaken     = fault.New(fault.Conflict, "NAME_TAKEN", "this name is taken by another seller").At("input", "name")
	ErrSlugTaken     = errors.New("another seller has this slug") // the store's word to Onboard; nobody else hears it
	errSellerKey     = ErrInput.Says("give exactly one of id and slug")
)

// mostSlugs is how many slugs are tried for names that differ and make the same one.
const mostSlugs = 20

// Onboard makes the viewer's account a seller. Asking again with the same name returns the same seller.
func (a *Accounts) Onboard(ctx context.Context, who viewer.Viewer, name string, tier Tier, taxID string) (Seller, error) {
	if !who.SignedIn() {
		return Seller{}, ErrSignIn
	}
	name, err := line{"a seller's name", 2, 80}.check(name, "input", "name")
	if err != nil {
		return Seller{}, err
	}
	base := Slug(name)
	if base == "" {
		return Seller{}, ErrInput.Says("a seller's name has a letter or a digit").At("input", "name")
	}
	if taxID, err = (line{"a tax id", 0, 40}).check(taxID, "input", "taxId"); err != nil {
		return Seller{}, err
	}
	seller := Seller{ID: id.New(id.Seller), AccountID: who.AccountID, Slug: base, Name: name, Tier: tier, TaxID: taxID, Since: a.clock.Now()}
	for n := 2; ; n++ {
		err := a.store.AddSeller(ctx, seller)
		if err == nil {
			return seller, nil
		}
		// Whichever constraint refused, an account that sells already decides: the same request may have come before.
		if known, err := a.store.SellerOf(ctx, who.AccountID); err != nil {
			return Seller{}, err
		} else if known != nil {
			return known.again(name)
		}
		switch {
		case !errors.Is(err, ErrSlugTaken):
			return Seller{}, err
		case n > mostSlugs:
			return Seller{}, ErrNameTaken
		}
		seller.Slug = fmt.Sprintf("%s-%d", base, n)
	}
}

// again answers an onboarding by an account that sells already.
func (s Seller) again(name string) (Seller, error) {
	if NameKey(s.Name) != NameKey(name) {
		return Seller{}, ErrAlreadySeller
	}
	return s, nil
}

// NameKey returns what two names share that people would take for one.
func NameKey(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }

// Slug makes a name fit for a URL: letters and digits of any script, lower case, with hyphens between.
func Slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.N, unicode.M)
	})
	return strings.Join(words, "-")
}

// SellerBy finds a seller by id or by slug, exactly one of them given.
func (a *Accounts) SellerBy(ctx context.Context, sellerID, slug *string) (*Seller, error) {
	switch {
	case (sellerID == nil) == (slug == nil):
		return nil, errSellerKey
	case slug != nil && *slug != Slug(*slug):
		return nil, nil // no seller's slug looks so
	case slug != nil:
		return a.store.SellerBySlug(ctx, *slug)
	}
	if err := id.Check(id.Seller, *sellerID, "id"); err != nil {
		return nil, err
	}
	found, err := a.SellersByID(ctx, []string{*sellerID})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// SellerInfo answers other subgraphs: who a seller is.
func (a *Accounts) SellerInfo(ctx context.Context, r events.SellerRequest) (events.SellerInfo, error) {
	found, err := a.SellersByID(ctx, []string{r.SellerID})
	if err != nil {
		return events.SellerInfo{}, err
	}
	if len(found) == 0 {
		return events.SellerInfo{}, fault.New(fault.NotFound, "NOT_FOUND", "there is no such seller")
	}
	return events.SellerInfo{ID: found[0].ID, Name: found[0].Name, Tier: string(found[0].Tier)}, nil
}
