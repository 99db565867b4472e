package search

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/page"
)

// A Query is a question as a customer asks it.
type Query struct {
	Text   string
	Filter Filter
	Sort   Sort
	First  *int
	After  *string
	Facets bool // whether they are wanted
}

// A Filter says what to leave out. Every condition must hold; nil and empty ones always do.
type Filter struct {
	CategorySlug *string
	SellerID     *string
	Brand        []string
	Price        *PriceFilter
	Attributes   []AttributeFilter
	InStock      *bool
	MinRating    *float64
}

// A PriceFilter is a range of prices in major units, both ends included.
type PriceFilter struct{ Min, Max *decimal.Decimal }

// An AttributeFilter asks for any of some values of an attribute.
type AttributeFilter struct {
	Key    string
	Values []string
}

// A Sort is an order in which products come.
type Sort string

// The orders in which products come.
const (
	Relevance Sort = "RELEVANCE"
	PriceAsc  Sort = "PRICE_ASC"
	PriceDesc Sort = "PRICE_DESC"
	Newest    Sort = "NEWEST"
	TopRated  Sort = "TOP_RATED"
)

// The bounds of a question.
const (
	mostCharacters = 256
	mostValues     = 100 // in a filter
	mostAttributes = 20  // in a filter: each is a search of its own, for its facet
	deepest        = 10_000
	pageSize       = 24
	usual          = "USD"
)

// The refusals of a question.
var (
	ErrText      = fault.New(fault.Invalid, "INVALID_QUERY", "a query has at most 256 characters").At("query")
	ErrMany      = fault.New(fault.Invalid, "TOO_MANY_VALUES", "a filter has at most 100 values").At("filter")
	ErrAttribute = fault.New(fault.Invalid, "TOO_MANY_VALUES", "a filter names at most 20 attributes").At("filter", "attributes")
	ErrPrice     = fault.New(fault.Invalid, "INVALID_PRICE", "a price is not negative")
	ErrPrices    = fault.New(fault.Invalid, "INVALID_PRICE", "the lowest price is above the highest").At("filter", "price")
	ErrRating    = fault.New(fault.Invalid, "INVALID_RATING", "a rating is from 0 to 5").At("filter", "minRating")
	ErrSort      = fault.New(fault.Invalid, "INVALID_SORT", "unknown order").At("sort")
	ErrDeep      = fault.New(fault.Invalid, "TOO_DEEP", "of a search for words the first 10,000 finds are shown; narrow it down").At("after")
)

// A Request is a question that was checked.
type Request struct {
	Text       string // plain words; "" finds everything
	Typed      string // what they were in: a title or a SKU, letter by letter, comes first
	Category   string // slug
	SellerID   string
	Brands     []string
	Prices     bool  // whether the next two hold
	MinPrice   int64 // in minor units
	MaxPrice   int64
	Attributes []AttributeFilter
	InStock    *bool
	MinRating  int  // in hundredths of a star
	Sort       Sort // Relevance only with words
	Currency   string

	First  int    `json:"-"`
	Behind *Place `json:"-"` // where the page before ended
	Facets bool   `json:"-"`

	hopeless bool // there were only signs, which are in no text
}

// A Place is where a find stands in the order of a request. With words it is counted, since how well they match is known
// while searching only; without, it is a rank that holds whatever is added or taken away meanwhile.
type Place struct {
	Nth  int    `json:"n,omitempty"`
	Rank Rank   `json:"r,omitzero"`
	ID   string `json:"i,omitempty"`
}

// A Rank is what a product is sorted by; ids decide between equals.
type Rank [2]int64

// Counted tells whether places are counted rather than ranked.
func (r Request) Counted() bool { return r.Text != "" }

// Skip returns how many finds come before the page, where places are counted.
func (r Request) Skip() int {
	if r.Behind == nil {
		return 0
	}
	return r.Behind.Nth
}

// request checks the question.
func (q Query) request(currency string) (r Request, err error) {
	r = Request{Text: words(q.Text), Typed: q.Text, Sort: q.Sort, Currency: currency, InStock: q.Filter.InStock, Facets: q.Facets}
	r.hopeless = r.Text == "" && strings.TrimSpace(q.Text) != ""
	if utf8.RuneCountInString(q.Text) > mostCharacters {
		return r, ErrText
	}
	if r.First, err = page.Size(q.First, pageSize); err != nil {
		return r, err
	}
	switch q.Sort {
	case PriceAsc, PriceDesc, Newest, TopRated:
	case Relevance, "":
		r.Sort = Relevance
		if r.Text == "" {
			r.Sort = Newest
		}
	default:
		return r, ErrSort
	}
	for _, step := range []func(Filter) error{r.conditions, r.price, r.attributes} {
		if err := step(q.Filter); err != nil {
			return r, err
		}
	}
	if !money.Known(r.Currency) {
		r.Currency = usual // nothing is sold in theirs, so no order by price is better than another
	}
	return r, r.place(q.After)
}

// words keeps of a text what can be looked for: signs have a meaning to the engine that no customer intends.
func words(text string) string {
	fields := strings.FieldsFunc(text, func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c) || strings.ContainsRune("-\"*`", c)
	})
	kept := fields[:0]
	for _, f := range fields {
		if strings.ContainsFunc(f, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }) {
			kept = append(kept, f)
		}
	}
	return strings.Join(kept, " ")
}

func (r *Request) conditions(f Filter) error {
	values := len(f.Brand)
	for _, a := range f.Attributes {
		values += len(a.Values)
	}
	if values > mostValues {
		return ErrMany
	}
	r.Brands = f.Brand
	if f.CategorySlug != nil {
		r.Category = *f.CategorySlug
	}
	if f.SellerID != nil {
		r.SellerID = *f.SellerID
		if err := id.Check(id.Seller, r.SellerID, "filter", "sellerId"); err != nil {
			return err
		}
	}
	if f.MinRating != nil {
		if !(*f.MinRating >= 0 && *f.MinRating <= 5) {
			return ErrRating
		}
		r.MinRating = int(math.Ceil(*f.MinRating*100 - 1e-9)) // 4.35 is not 434.99…
	}
	return nil
}

func (r *Request) price(f Filter) (err error) {
	if f.Price == nil || f.Price.Min == nil && f.Price.Max == nil {
		return nil
	}
	r.Prices, r.MaxPrice = true, money.Max
	if d := f.Price.Min; d != nil {
		if r.MinPrice, err = minor(*d, r.Currency, "filter", "price", "min"); err != nil {
			return err
		}
	}
	if d := f.Price.Max; d != nil {
		if r.MaxPrice, err = minor(*d, r.Currency, "filter", "price", "max"); err != nil {
			return err
		}
	}
	if r.MinPrice > r.MaxPrice {
		return ErrPrices
	}
	return nil
}

func minor(d decimal.Decimal, currency string, field ...string) (int64, error) {
	if d.IsNegative() {
		return 0, ErrPrice.At(field...)
	}
	m, err := money.FromDecimal(d, currency)
	var refused *fault.Error
	if errors.As(err, &refused) {
		return 0, refused.At(field...)
	}
	return m.Amount, err
}

// attributes joins the conditions on one attribute: every one of them must hold.
func (r *Request) attributes(f Filter) error {
	if len(f.Attributes) > mostAttributes {
		return ErrAttribute
	}
	for _, a := range f.Attributes {
		if len(a.Values) > 0 {
			r.Attributes = append(r.Attributes, a)
		}
	}
	return nil
}

// A cursor is a place, and the request it is a place of.
type cursor struct {
	Of string `json:"q"`
	Place
}

func (r Request) cursor(h Hit, i int) string {
	c := cursor{Of: r.fingerprint()}
	if r.Counted() {
		c.Nth = r.Skip() + i + 1
	} else {
		c.Rank, c.ID = h.Rank, h.Card.ID
	}
	return page.Encode(c)
}

// place reads the cursor to continue behind. One of another request has no place in this one.
func (r *Request) place(after *string) error {
	if after == nil {
		return nil
	}
	var c cursor
	if err := page.Decode(after, &c); err != nil {
		return err
	}
	if c.Of != r.fingerprint() || r.Counted() != (c.Nth > 0) || !r.Counted() && !id.Is(id.Product, c.ID) {
		return page.ErrCursor
	}
	r.Behind = &c.Place
	if r.Skip()+r.First > deepest {
		return ErrDeep
	}
	return nil
}

// fingerprint tells requests apart that order or select products differently.
func (r Request) fingerprint() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}
