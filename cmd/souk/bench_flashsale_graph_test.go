package main

import (
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	judged "github.com/souk-shop/souk/subgraphs/flashsale/history"
)

// What many buyers of a whole shop were told through its gateway, while their connections and those to PostgreSQL are cut, is what one
// sale after another would have told them. And it is not any more once it says something else.
func TestHistoriesThroughTheGraph(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"SOUK_ORDER_EXPIRY": graphExpiry})
	t.Cleanup(s.agrees)
	url, err := s.config.postgresURL("flashsale")
	if err != nil {
		t.Fatal(err)
	}
	shop, err := openGraphShop(t.Context(), &bazaar{base: s.base, url: url})
	if err != nil {
		t.Fatal(err)
	}
	defer shop.close()
	r, err := shop.prepare(t.Context(), 1, 300, false)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ops, err := r.record(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := judged.Judge(r.sale, ops, 1, time.Since(began), patience, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{}
	for _, o := range ops {
		if o.Known() {
			codes[string(o.Kind)+" "+o.Code+" "+o.Status]++
		} else {
			codes[string(o.Kind)+" ?"]++
		}
	}
	t.Logf("%d operations, %d without an answer, %d sold, ran %v, judged in %v: %v", h.Ops, h.Unknown, h.Sold, h.Ran, h.Took, codes)
	if h.Result != judged.Explained {
		t.Fatalf("%s at %s; see %s", h.Result, h.Stuck, h.Picture)
	}
	for name, lie := range graphLies {
		told := slices.Clone(ops)
		if !lie(r.sale, told) {
			t.Errorf("%s: nobody was told what could be a lie", name)
			continue
		}
		if v := judged.Check(r.sale, told, patience/3000); v.Result != judged.Unexplained && v.Result != judged.AgainstLog {
			t.Errorf("%s: %s", name, v.Result)
		} else {
			t.Logf("%s: %s in %v, at %s", name, v.Result, v.Took, v.Stuck)
		}
	}
}

// graphLies each make a recorded history say what cannot be.
var graphLies = map[string]func(flashsale.Sale, []judged.Operation) bool{
	"a second booking for one account": func(_ flashsale.Sale, ops []judged.Operation) bool {
		return answers(ops, judged.Book, judged.AlreadyBooked, "", bookAnew)
	},
	"a unit sold twice": func(_ flashsale.Sale, ops []judged.Operation) bool {
		return answers(ops, judged.Book, judged.SoldOut, "", bookAnew)
	},
	"sold out, and it was not": func(_ flashsale.Sale, ops []judged.Operation) bool {
		return answers(ops, judged.Book, judged.OK, "", func(o *judged.Operation) { o.Output = judged.Output{Code: judged.SoldOut} })
	},
	"a release that did not happen": func(_ flashsale.Sale, ops []judged.Operation) bool {
		return answers(ops, judged.Release, judged.OK, "RELEASED", func(o *judged.Operation) { recount(ops, o.Booking, flashsale.Held) })
	},
	"a sale that was forgotten": func(_ flashsale.Sale, ops []judged.Operation) bool {
		for i := range ops {
			if o := ops[i]; o.Kind == judged.Checkout && o.Code == judged.Placed && finally(ops, o.Booking) == flashsale.Booked {
				recount(ops, o.Booking, flashsale.Expired)
				return true
			}
		}
		return false
	},
	"a cancelled order that keeps its unit": func(_ flashsale.Sale, ops []judged.Operation) bool {
		for i := range ops {
			if o := ops[i]; o.Kind == judged.CancelOrder && o.Status == "CANCELLED" && finally(ops, o.Booking) == flashsale.Undone {
				recount(ops, o.Booking, flashsale.Booked)
				return true
			}
		}
		return false
	},
	"a declined card that bought": func(_ flashsale.Sale, ops []judged.Operation) bool {
		return answers(ops, judged.Checkout, judged.PaymentFailed, "", func(o *judged.Operation) { o.Code, o.Status = judged.Placed, "PLACED" })
	},
	"a count of long ago": func(s flashsale.Sale, ops []judged.Operation) bool {
		for i := len(ops) - 1; i >= 0; i-- {
			if ops[i].Kind == judged.Count && ops[i].Known() {
				ops[i].Counts = s.Offers
				return true
			}
		}
		return false
	},
	"a look at what was": func(_ flashsale.Sale, ops []judged.Operation) bool {
		return answers(ops, judged.Look, judged.OK, "", func(o *judged.Operation) {
			for _, before := range ops {
				if before.Kind == judged.Release && before.Known() && before.Status == "RELEASED" && before.Return < o.Call {
					is := shownFirst(ops, before.Booking)
					o.Booking, o.Shown = before.Booking, &is
					return
				}
			}
		})
	},
}

// answers changes the last answer of a kind.
func answers(ops []judged.Operation, kind judged.Kind, code, status string, lie func(*judged.Operation)) bool {
	for i := len(ops) - 1; i >= 0; i-- {
		if o := &ops[i]; o.Kind == kind && o.Known() && o.Code == code && (status == "" || o.Status == status) {
			lie(o)
			return true
		}
	}
	return false
}

func bookAnew(o *judged.Operation) {
	b := flashsale.Booking{ID: id.New(id.Booking), AccountID: o.Account, VariantID: o.Variant, Key: o.Key, Status: flashsale.Held, CreatedAt: o.Before, ExpiresAt: o.Before.Add(graphHold)}
	o.Output = judged.Output{Code: judged.OK, Public: true, Shown: &b}
}

func shownFirst(ops []judged.Operation, booking string) flashsale.Booking {
	for _, o := range ops {
		if o.Shown != nil && o.Shown.ID == booking && o.Shown.Status == flashsale.Held {
			return *o.Shown
		}
	}
	return flashsale.Booking{ID: booking}
}

// finally is how the census has a booking.
func finally(ops []judged.Operation, booking string) flashsale.BookingStatus {
	for _, b := range ops[len(ops)-1].All {
		if b.ID == booking {
			return b.Status
		}
	}
	return ""
}

// recount makes the census say something else of a booking, count accordingly, and have a log that agrees with it.
func recount(ops []judged.Operation, booking string, status flashsale.BookingStatus) {
	last := &ops[len(ops)-1]
	last.All, last.Counts = slices.Clone(last.All), slices.Clone(last.Counts)
	last.Log = slices.DeleteFunc(slices.Clone(last.Log), func(m judged.Moved) bool {
		return m.Booking == booking && (m.Kind == flashsale.Unsell || m.Kind == flashsale.Release || m.Kind == flashsale.Expire)
	})
	for i, m := range last.Log {
		if m.Booking == booking && m.Kind == flashsale.Sell && status == flashsale.Expired {
			last.Log[i].Kind = flashsale.Expire
		}
	}
	for i := range last.All {
		b := &last.All[i]
		if b.ID != booking {
			continue
		}
		for j := range last.Counts {
			if c := &last.Counts[j]; c.VariantID == b.VariantID {
				for s, n := range map[flashsale.BookingStatus]int{b.Status: -1, status: 1} {
					switch s {
					case flashsale.Held:
						c.Held, c.Remaining = c.Held+n, c.Remaining-n
					case flashsale.Booked:
						c.Sold, c.Remaining = c.Sold+n, c.Remaining-n
					}
				}
			}
		}
		b.Status = status
	}
}
