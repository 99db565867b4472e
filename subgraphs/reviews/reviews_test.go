package reviews_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/reviews"
)

func TestRating(t *testing.T) {
	for _, c := range []struct {
		stars   [5]int
		count   int
		average float64
	}{
		{[5]int{}, 0, 0},
		{[5]int{0, 0, 0, 0, 3}, 3, 5},
		{[5]int{1, 0, 0, 0, 2}, 3, 3.67},
	} {
		r := reviews.Rating{Stars: c.stars}
		if r.Count() != c.count || r.Average() != c.average {
			t.Errorf("%v: %d, %v; want %d, %v", c.stars, r.Count(), r.Average(), c.count, c.average)
		}
	}
}

// keeps saves whatever passed the rules.
type keeps struct{ reviews.Store }

func (keeps) Save(_ context.Context, r reviews.Review) (reviews.Review, error) { return r, nil }

func TestSaveRules(t *testing.T) {
	ann, product := viewer.Viewer{AccountID: id.New(id.Account)}, id.New(id.Product)
	rs := reviews.New(keeps{}, clock.Hold(time.Unix(0, 0)))
	for _, c := range []struct {
		name        string
		who         viewer.Viewer
		product     string
		rating      int
		title, body string
		want        string // the code of the refusal
	}{
		{"good", ann, product, 5, " Fine ", "", ""},
		{"guest", viewer.Viewer{}, product, 5, "", "", "UNAUTHENTICATED"},
		{"no stars", ann, product, 0, "", "", "INVALID"},
		{"six stars", ann, product, 6, "", "", "INVALID"},
		{"title too long", ann, product, 5, strings.Repeat("ß", 121), "", "INVALID"},
		{"title just short enough", ann, product, 5, strings.Repeat("ß", 120), "", ""},
		{"body too long", ann, product, 5, "", strings.Repeat("x", 5001), "INVALID"},
		{"not a product", ann, "prod_1", 5, "", "", "INVALID_ID"},
	} {
		r, err := rs.Save(t.Context(), c.who, c.product, c.rating, c.title, c.body)
		var f *fault.Error
		if errors.As(err, &f) != (c.want != "") || f != nil && f.Code != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.name == "good" && r.Title != "Fine" {
			t.Errorf("title %q is not trimmed", r.Title)
		}
	}
}

func TestReceived(t *testing.T) {
	o := events.OrderChanged{Status: "SHIPPED", Lines: []events.OrderLine{{ProductID: "prod_a"}, {ProductID: "prod_b"}}}
	if got := reviews.Received(o); got != nil {
		t.Errorf("shipped: %v", got)
	}
	o.Status = "DELIVERED"
	if got := reviews.Received(o); len(got) != 2 {
		t.Errorf("delivered: %v", got)
	}
}
