package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/internal/gen"
)

func (q *query) FlashSaleBooking(ctx context.Context, bookingID string) (*flashsale.Booking, error) {
	if err := id.Check(id.Booking, bookingID, "id"); err != nil {
		return nil, err
	}
	found, err := q.sales.Bookings(ctx, viewer.From(ctx), []string{bookingID})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (m *mutation) FlashSaleBook(ctx context.Context, in gen.FlashSaleBookInput) (*gen.FlashSaleBookPayload, error) {
	res, err := m.sales.BookWith(ctx, viewer.From(ctx), in.SaleID, optional.Text(in.VariantID), optional.Text(in.AdmissionToken), in.IdempotencyKey)
	if err != nil {
		errs, err := proofErrors(ctx, err)
		return &gen.FlashSaleBookPayload{UserErrors: errs}, err
	}
	p := &gen.FlashSaleBookPayload{UserErrors: []gen.FlashSaleUserError{}}
	if res.PollAfter != nil {
		p.Result = gen.FlashSaleThrottled{PollAfter: *res.PollAfter}
		return p, nil
	}
	live := res.Sale.Live(m.sales.Now())
	p.Live = &live
	switch {
	case res.Booking != nil:
		p.Result = res.Booking
	case res.AlreadyBooked != nil:
		p.Result = gen.FlashSaleAlreadyBooked{Booking: res.AlreadyBooked}
	default:
		p.Result = gen.FlashSaleSoldOut{Held: res.SoldOut.Held, RetryAfter: res.SoldOut.RetryAfter, Final: res.SoldOut.Final()}
	}
	return p, nil
}

func (m *mutation) FlashSaleRelease(ctx context.Context, in gen.FlashSaleReleaseInput) (*gen.FlashSaleReleasePayload, error) {
	b, err := m.sales.Release(ctx, viewer.From(ctx), in.BookingID)
	p := &gen.FlashSaleReleasePayload{}
	if err == nil {
		p.Booking = &b
	}
	p.UserErrors, err = userErrors(err)
	return p, err
}

func (*booking) Sale(ctx context.Context, b *flashsale.Booking) (*flashsale.Sale, error) {
	return load(ctx).Sale.Load(ctx, b.SaleID)
}

func (*booking) Variant(_ context.Context, b *flashsale.Booking) (*gen.ProductVariant, error) {
	return &gen.ProductVariant{ID: b.VariantID}, nil
}

func (*booking) Account(_ context.Context, b *flashsale.Booking) (*gen.Account, error) {
	return &gen.Account{ID: b.AccountID}, nil
}
