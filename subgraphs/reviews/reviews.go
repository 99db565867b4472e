// Package reviews knows what buyers think of what they received: stars and words.
package reviews

import (
	"context"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Review is what one account thinks of one product.
type Review struct {
	ID        string
	ProductID string
	AuthorID  string
	Rating    int // stars, 1 to 5
	Title     string
	Body      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Key returns the review's id.
func (r Review) Key() string { return r.ID }

// A Rating sums the stars of a product up.
type Rating struct {
	ProductID string
	Version   int64  // rises with every review written or changed
	Stars     [5]int // how many gave 1, 2, 3, 4 and 5 stars
}

// Key returns the product's id.
func (r Rating) Key() string { return r.ProductID }

// Count returns how many rated.
func (r Rating) Count() int {
	n := 0
	for _, s := range r.Stars {
		n += s
	}
	return n
}

// Average returns the mean of all stars to two decimals, 0 when nobody rated.
func (r Rating) Average() float64 {
	sum := 0
	for i, n := range r.Stars {
		sum += (i + 1) * n
	}
	if sum == 0 {
		return 0
	}
	return math.Round(float64(sum)/float64(r.Count())*100) / 100
}

// Histogram returns how many gave 1, 2, 3, 4 and 5 stars.
func (r Rating) Histogram() []int { return r.Stars[:] }

// IsEntity lets other subgraphs refer to reviews.
func (Review) IsEntity() {}

// A Sort is an order in which reviews come.
type Sort string

// The orders in which reviews come.
const (
	Newest     Sort = "NEWEST"
	RatingDesc Sort = "RATING_DESC"
	RatingAsc  Sort = "RATING_ASC"
)

// A List is a question for a page of reviews: those of a product or those of an author.
type List struct {
	ProductID, AuthorID string // exactly one
	Rating              int    // only those with this many stars; 0 = all
	Sort                Sort
	First               int
	After               *string
	Count               bool // tell how many there are on all pages, too
}

// A Cursor is where a review stands in every order of a list.
type Cursor struct {
	Rating    int       `json:"r"`
	CreatedAt time.Time `json:"c"`
	ID        string    `json:"i"`
}

// CursorOf returns where the review stands.
func CursorOf(r Review) string { return page.Encode(Cursor{r.Rating, r.CreatedAt, r.ID}) }

// A Page is one page of a list.
type Page struct {
	Reviews []Review
	Info    page.Info
	Total   int // on all pages, when the list is to count
}

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	ReviewsByID(ctx context.Context, ids []string) ([]Review, error)
	RatingsOf(ctx context.Context, productIDs []string) ([]Rating, error)
}

// A Store also lists and changes things.
type Store interface {
	Reader
	// List returns up to first+1 reviews, so that the caller sees whether more follow, and how many there are at the same moment on all
	// pages, when the list is to count.
	List(ctx context.Context, l List, after *Cursor) (rows []Review, total int, err error)
	// Save writes the author's one review of the product and moves the rating with it, in one transaction that also tells of it.
	// It refuses with ErrNotPurchased when no delivery to the author is known.
	Save(ctx context.Context, r Review) (Review, error)
}

// Reviews is what the shop can do with reviews.
type Reviews struct {
	Reader
	store Store
	clock clock.Clock
}

// New returns the shop's reviews, kept in a store.
func New(s Store, c clock.Clock) *Reviews { return &Reviews{s, s, c} }

// The refusals of a review.
var (
	ErrNotPurchased = fault.New(fault.Conflict, "NOT_PURCHASED", "only who received this product can review it").At("input", "productId")
	ErrRating       = fault.New(fault.Invalid, "INVALID", "a rating is 1 to 5 stars").At("input", "rating")
	ErrTitle        = fault.New(fault.Invalid, "INVALID", "a title has at most 120 characters").At("input", "title")
	ErrBody         = fault.New(fault.Invalid, "INVALID", "a review has at most 5,000 characters").At("input", "body")
)

// Save writes the viewer's review of a product, or changes the one there is.
func (rs *Reviews) Save(ctx context.Context, who viewer.Viewer, productID string, rating int, title, body string) (Review, error) {
	title, body = strings.TrimSpace(title), strings.TrimSpace(body)
	switch {
	case !who.SignedIn():
		return Review{}, fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
	case rating < 1 || rating > 5:
		return Review{}, ErrRating
	case utf8.RuneCountInString(title) > 120:
		return Review{}, ErrTitle
	case utf8.RuneCountInString(body) > 5000:
		return Review{}, ErrBody
	}
	if err := id.Check(id.Product, productID, "input", "productId"); err != nil {
		return Review{}, err
	}
	now := rs.clock.Now()
	return rs.store.Save(ctx, Review{
		ID: id.New(id.Review), ProductID: productID, AuthorID: who.AccountID,
		Rating: rating, Title: title, Body: body, CreatedAt: now, UpdatedAt: now,
	})
}

// List returns a page of a list.
func (rs *Reviews) List(ctx context.Context, l List) (Page, error) {
	var after *Cursor
	if l.After != nil {
		after = new(Cursor)
		if err := page.Decode(l.After, after); err != nil {
			return Page{}, err
		}
	}
	rows, total, err := rs.store.List(ctx, l, after)
	if err != nil {
		return Page{}, err
	}
	reviews, info := page.Cut(rows, l.First, l.After, CursorOf)
	return Page{reviews, info, total}, nil
}

// Received lists what of an order the buyer may review: everything, once all of it arrived.
func Received(o events.OrderChanged) []string {
	if o.Status != "DELIVERED" {
		return nil
	}
	var products []string
	for _, l := range o.Lines {
		products = append(products, l.ProductID)
	}
	return products
}
