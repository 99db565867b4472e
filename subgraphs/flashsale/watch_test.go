package flashsale_test

import (
	"context"
	"testing"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// one is a store of one sale.
type one struct {
	flashsale.Store
	sale flashsale.Sale
}

func (o one) SalesByID(context.Context, []string) ([]flashsale.Sale, error) {
	return []flashsale.Sale{o.sale}, nil
}

// Who books tells of a room as it was a moment ago, and who lets people in tells of counts as they were: neither takes back what the
// other has told.
func TestNeitherHalfOfASaleGoesBack(t *testing.T) {
	sale := selling(10, 0, 5)
	sale.ID, sale.Seq = id.New(id.FlashSale), 1
	fs := flashsale.New(one{sale: sale}, nil, nil, clock.Hold(ten))
	news, err := fs.Watch(t.Context(), sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	<-news
	for _, told := range []struct{ seq, left, rev, called int64 }{{2, 9, 1, 0}, {2, 9, 3, 4}, {3, 8, 1, 0}, {2, 9, 4, 6}, {4, 7, 2, 1}} {
		fs.Told(events.FlashSaleChanged{
			At: events.At{At: ten}, SaleID: sale.ID, Status: "OPEN", Seq: told.seq, Offers: []events.FlashSaleCount{{Remaining: int(told.left)}},
			Room: &events.FlashSaleRoom{Joined: 20, Called: told.called, Rev: told.rev},
		})
	}
	for l := range news {
		if l.Seq < 4 || l.Room.Rev < 4 {
			continue // one on the way
		}
		if l.Remaining() != 7 || l.Room.Called != 6 || l.Waiting() != 14 {
			t.Errorf("%+v", l)
		}
		break
	}
	late, err := fs.Watch(t.Context(), sale.ID) // whose store is behind what was told
	if err != nil {
		t.Fatal(err)
	}
	if l := <-late; l.Seq != 4 || l.Remaining() != 7 || l.Room.Called != 6 {
		t.Errorf("who comes later is told %+v", l)
	}
}
