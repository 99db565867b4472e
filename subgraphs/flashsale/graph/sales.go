package graph

import (
	"context"
	"strconv"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/internal/gen"
)

func (q *query) FlashSale(ctx context.Context, saleID string) (*flashsale.Sale, error) {
	if err := id.Check(id.FlashSale, saleID, "id"); err != nil {
		return nil, err
	}
	return load(ctx).Sale.Load(ctx, saleID)
}

const usualSales = 10 // as the schema says

func (q *query) FlashSales(ctx context.Context, status *flashsale.Status, first *int) ([]flashsale.Sale, error) {
	most := usualSales
	if first != nil {
		most = *first
	}
	return q.sales.List(ctx, status, most)
}

func (m *mutation) FlashSaleSave(ctx context.Context, in gen.FlashSaleSaveInput) (*gen.FlashSalePayload, error) {
	p, err := plan(in)
	if err != nil {
		return payload(flashsale.Sale{}, err)
	}
	return payload(m.sales.Save(ctx, viewer.From(ctx), p, in.IdempotencyKey))
}

func (m *mutation) FlashSaleCancel(ctx context.Context, in gen.FlashSaleCancelInput) (*gen.FlashSalePayload, error) {
	return payload(m.sales.Cancel(ctx, viewer.From(ctx), in.ID))
}

func payload(s flashsale.Sale, err error) (*gen.FlashSalePayload, error) {
	p := &gen.FlashSalePayload{}
	if err == nil {
		p.FlashSale = &s
	}
	p.UserErrors, err = userErrors(err)
	return p, err
}

func plan(in gen.FlashSaleSaveInput) (flashsale.Plan, error) {
	p := flashsale.Plan{
		SaleID: optional.Text(in.ID), Title: in.Title, LimitPerAccount: in.LimitPerAccount, HoldTime: time.Duration(in.HoldSeconds) * time.Second,
		StartsAt: in.StartsAt, EndsAt: in.EndsAt,
		Entry: flashsale.Entry{
			Admission: in.Admission, Difficulty: in.ChallengeDifficulty, AdmitPerSecond: in.AdmitPerSecond,
			AdmissionTime: time.Duration(in.AdmissionSeconds) * time.Second,
		},
	}
	if in.RoomOpensAt != nil {
		p.RoomOpensAt = *in.RoomOpensAt
	}
	for i, o := range in.Offers {
		price, err := o.Price.Money("input", "offers", strconv.Itoa(i), "price")
		if err != nil {
			return p, err
		}
		p.Offers = append(p.Offers, flashsale.PlannedOffer{VariantID: o.VariantID, Price: price, Quantity: o.Quantity, LimitPerAccount: o.LimitPerAccount})
	}
	return p, nil
}

func (s *subscription) FlashSaleChanged(ctx context.Context, saleID string) (<-chan *flashsale.Live, error) {
	return s.sales.Watch(ctx, saleID)
}

func (*sale) Seller(_ context.Context, s *flashsale.Sale) (*gen.Seller, error) {
	return &gen.Seller{ID: s.SellerID}, nil
}

func (r *sale) Status(_ context.Context, s *flashsale.Sale) (flashsale.Status, error) {
	return s.Status(r.sales.Now()), nil
}

func (*sale) HoldSeconds(_ context.Context, s *flashsale.Sale) (int, error) {
	return int(s.HoldTime / time.Second), nil
}

func (r *sale) Live(_ context.Context, s *flashsale.Sale) (*flashsale.Live, error) {
	live := s.Live(r.sales.Now())
	return &live, nil
}

func (*sale) MyBookings(ctx context.Context, s *flashsale.Sale) ([]flashsale.Booking, error) {
	mine, err := load(ctx).MyBookings.Load(ctx, s.ID)
	return append([]flashsale.Booking{}, mine...), err
}

func (*offer) Variant(_ context.Context, o *flashsale.Offer) (*gen.ProductVariant, error) {
	return &gen.ProductVariant{ID: o.VariantID}, nil
}

func (*variant) FlashSale(ctx context.Context, of *gen.ProductVariant) (*flashsale.Sale, error) {
	found, err := load(ctx).Offering.Load(ctx, of.ID)
	if err != nil || found == nil {
		return nil, err
	}
	return load(ctx).Sale.Load(ctx, found.SaleID)
}
