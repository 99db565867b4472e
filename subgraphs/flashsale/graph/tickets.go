package graph

import (
	"context"
	"math"
	"time"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/internal/gen"
)

func (m *mutation) FlashSaleJoin(ctx context.Context, in gen.FlashSaleJoinInput) (*gen.FlashSaleJoinPayload, error) {
	res, err := m.sales.Join(ctx, viewer.From(ctx), in.SaleID, in.Solution)
	if err != nil {
		errs, err := proofErrors(ctx, err)
		return &gen.FlashSaleJoinPayload{UserErrors: errs}, err
	}
	p := &gen.FlashSaleJoinPayload{PollAfter: res.PollAfter, UserErrors: []gen.FlashSaleUserError{}}
	if res.PollAfter == nil {
		is := res.Ticket.Turn(res.Live, m.sales.Now())
		p.Ticket = &is
	}
	return p, nil
}

func (s *subscription) FlashSaleTicketChanged(ctx context.Context, ticketID string) (<-chan *flashsale.Turn, error) {
	return s.sales.WatchTicket(ctx, viewer.From(ctx), ticketID)
}

func (*sale) RoomOpensAt(_ context.Context, s *flashsale.Sale) (*time.Time, error) {
	if !s.HasRoom() {
		return nil, nil
	}
	return &s.RoomOpensAt, nil
}

func (*sale) AdmissionSeconds(_ context.Context, s *flashsale.Sale) (int, error) {
	return int(s.AdmissionTime / time.Second), nil
}

func (*sale) SeedHash(_ context.Context, s *flashsale.Sale) (*string, error) {
	return optional.Of(s.PromisedHash()), nil
}

func (*sale) Seed(_ context.Context, s *flashsale.Sale) (*string, error) {
	return optional.Of(s.RevealedSeed()), nil
}

func (r *sale) DrawnTickets(ctx context.Context, s *flashsale.Sale, first, after int) ([]string, error) {
	return r.sales.DrawnTickets(ctx, *s, int64(after), first)
}

func (r *sale) Challenge(ctx context.Context, s *flashsale.Sale) (*flashsale.Challenge, error) {
	return r.sales.Challenge(viewer.From(ctx), *s)
}

func (*sale) MyTicket(ctx context.Context, s *flashsale.Sale) (*flashsale.Turn, error) {
	return load(ctx).MyTicket.Load(ctx, s.ID)
}

func (*ticket) Sale(ctx context.Context, is *flashsale.Turn) (*flashsale.Sale, error) {
	return load(ctx).Sale.Load(ctx, is.SaleID)
}

func (*ticket) Position(_ context.Context, is *flashsale.Turn) (*int, error) {
	if is.Position == 0 {
		return nil, nil
	}
	place := int(is.Position)
	return &place, nil
}

func (*ticket) EtaSeconds(_ context.Context, is *flashsale.Turn) (*int, error) {
	if is.ETA == nil {
		return nil, nil
	}
	seconds := int(min(math.Ceil(is.ETA.Seconds()), math.MaxInt32))
	return &seconds, nil
}

func (r *ticket) AdmissionToken(_ context.Context, is *flashsale.Turn) (*string, error) {
	token, err := r.sales.Token(*is)
	return optional.Of(token), err
}

func (*ticket) AdmissionExpiresAt(_ context.Context, is *flashsale.Turn) (*time.Time, error) {
	if is.Status != flashsale.TicketAdmitted {
		return nil, nil
	}
	return is.AdmittedUntil, nil
}
