package inventory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Status is where a reservation stands.
type Status string

// The statuses of a reservation. Held ends as one of the others, and Committed may yet become Restocked.
const (
	Held      Status = "HELD"
	Committed Status = "COMMITTED"
	Restocked Status = "RESTOCKED" // sold, and back since its order was cancelled
	Released  Status = "RELEASED"
	Expired   Status = "EXPIRED"
)

// A Reservation is units held for an order until it is paid.
type Reservation struct {
	ID        string
	Status    Status
	OrderID   string
	AccountID string
	Lines     []Line
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time
}

// Key returns the reservation's id.
func (r Reservation) Key() string { return r.ID }

// IsEntity lets other subgraphs refer to reservations.
func (Reservation) IsEntity() {}

// A Line is units of one variant held in one warehouse.
type Line struct {
	VariantID   string
	WarehouseID string
	Quantity    int
}

// A HoldRequest asks for units, for all of them or none. RequestHold makes one.
type HoldRequest struct {
	Once      Once
	OrderID   string
	AccountID string
	Wanted    []Wanted // one per variant, by id
	ExpiresAt time.Time
}

// Wanted is how many of a variant are asked for.
type Wanted struct {
	VariantID string
	Quantity  int
}

// A HoldAnswer is the reservation or what is short, or else an error that concerns this request alone.
type HoldAnswer struct {
	Reply events.HoldReply
	Err   error
}

const (
	mostHeldLines = 250
	mostHeldUnits = 10_000 // of a variant in one hold
	longestHold   = 24 * time.Hour
	longestKey    = 200
)

// The refusals of ending a hold.
var (
	ErrNoReservation = fault.New(fault.NotFound, "NOT_FOUND", "there is no such reservation").At("reservationId")
	ErrHoldExpired   = fault.New(fault.Conflict, "HOLD_EXPIRED", "the hold has ended; its units are no longer kept")
	ErrHoldHeld      = fault.New(fault.Conflict, "HOLD_HELD", "the units are not sold yet")
	ErrHoldCommitted = fault.New(fault.Conflict, "HOLD_COMMITTED", "the units are sold")
)

// RequestHold checks what another subgraph asks for, and sums the lines of each variant.
func RequestHold(in events.HoldRequest) (HoldRequest, error) {
	if err := checkKey(in.IdempotencyKey, "idempotencyKey"); err != nil {
		return HoldRequest{}, err
	}
	if err := id.Check(id.Order, in.OrderID, "orderId"); err != nil {
		return HoldRequest{}, err
	}
	if err := id.Check(id.Account, in.AccountID, "accountId"); err != nil {
		return HoldRequest{}, err
	}
	if len(in.Lines) < 1 || len(in.Lines) > mostHeldLines {
		return HoldRequest{}, invalid("a hold has 1 to %d lines", mostHeldLines).At("lines")
	}
	r := HoldRequest{OrderID: in.OrderID, AccountID: in.AccountID, ExpiresAt: in.ExpiresAt.UTC().Truncate(time.Microsecond)}
	r.Wanted = make([]Wanted, 0, len(in.Lines))
	for i, l := range in.Lines {
		if !id.Is(id.Variant, l.VariantID) {
			return HoldRequest{}, id.Check(id.Variant, l.VariantID, "lines", strconv.Itoa(i), "variantId")
		}
		of := slices.IndexFunc(r.Wanted, func(w Wanted) bool { return w.VariantID == l.VariantID })
		if of < 0 {
			of = len(r.Wanted)
			r.Wanted = append(r.Wanted, Wanted{VariantID: l.VariantID})
		}
		if l.Quantity < 1 || l.Quantity > mostHeldUnits-r.Wanted[of].Quantity {
			return HoldRequest{}, invalid("a hold has 1 to %d units of a variant", mostHeldUnits).At("lines", strconv.Itoa(i), "quantity")
		}
		r.Wanted[of].Quantity += l.Quantity
	}
	slices.SortFunc(r.Wanted, func(a, b Wanted) int { return cmp.Compare(a.VariantID, b.VariantID) })
	// Without the expiry: whoever asks again after a crash may have reckoned it anew, and wants the hold there is.
	r.Once = Once{Caller: "hold", Key: in.IdempotencyKey, Input: r.hash()}
	return r, nil
}

// hash is the same for the same hold. Everything in it is checked, so nothing needs to be quoted.
func (r *HoldRequest) hash() []byte {
	buf := make([]byte, 0, 256)
	buf = append(append(append(buf, r.OrderID...), ' '), r.AccountID...)
	for _, w := range r.Wanted {
		buf = strconv.AppendInt(append(append(append(buf, ' '), w.VariantID...), ' '), int64(w.Quantity), 10)
	}
	sum := sha256.Sum256(buf)
	return sum[:]
}

// timely refuses a hold that would have ended already, or would last for days.
func (r *HoldRequest) timely(now time.Time) error {
	if !r.ExpiresAt.After(now) || r.ExpiresAt.After(now.Add(longestHold)) {
		return invalid("a hold ends within 24 hours, and not before it begins").At("expiresAt")
	}
	return nil
}

// Hold takes units out of what can be had until they are committed, released or the time is up. Being short of some is
// an answer, not an error.
func (inv *Inventory) Hold(ctx context.Context, in events.HoldRequest) (events.HoldReply, error) {
	r, err := RequestHold(in)
	if err != nil {
		return events.HoldReply{}, err
	}
	answers, err := inv.store.Hold(ctx, []HoldRequest{r}, inv.clock.Now())
	if err != nil {
		return events.HoldReply{}, err
	}
	return answers[0].Reply, answers[0].Err
}

// Commit turns a hold into a sale.
func (inv *Inventory) Commit(ctx context.Context, in events.ReservationRequest) (events.ReservationReply, error) {
	status, err := inv.end(ctx, in, Committed)
	if err == nil && status != Committed && status != Restocked { // a late repetition of a commit that has been undone since changes nothing
		err = ErrHoldExpired
	}
	return events.ReservationReply{Status: string(status)}, err
}

// Release gives held units back before their time is up.
func (inv *Inventory) Release(ctx context.Context, in events.ReservationRequest) (events.ReservationReply, error) {
	status, err := inv.end(ctx, in, Released)
	if err == nil && (status == Committed || status == Restocked) {
		err = ErrHoldCommitted
	}
	return events.ReservationReply{Status: string(status)}, err
}

// Restock puts the units of a sale back where they came from.
func (inv *Inventory) Restock(ctx context.Context, in events.ReservationRequest) (events.ReservationReply, error) {
	if err := id.Check(id.Reservation, in.ReservationID, "reservationId"); err != nil {
		return events.ReservationReply{}, err
	}
	status, err := inv.store.Restock(ctx, in.ReservationID, inv.clock.Now())
	if err == nil && status == Held {
		err = ErrHoldHeld
	}
	return events.ReservationReply{Status: string(status)}, err
}

func (inv *Inventory) end(ctx context.Context, in events.ReservationRequest, to Status) (Status, error) {
	if err := id.Check(id.Reservation, in.ReservationID, "reservationId"); err != nil {
		return "", err
	}
	return inv.store.End(ctx, in.ReservationID, to, inv.clock.Now())
}

// Reservations finds the reservations that are the viewer's business: their own, or any for staff.
func (inv *Inventory) Reservations(ctx context.Context, who viewer.Viewer, ids []string) ([]Reservation, error) {
	found, err := inv.store.ReservationsByID(ctx, ids)
	return slices.DeleteFunc(found, func(r Reservation) bool { return !who.Is(r.AccountID) && !who.Staff() }), err
}

const (
	sweepLot   = 100
	sweepPoll  = time.Second
	sweepPause = 50 * time.Millisecond
)

// Sweep gives the units of holds back whose time is up, until the context ends. Any number may sweep at once, each hold
// ends once. What fails is reported and tried again.
func (inv *Inventory) Sweep(ctx context.Context, report func(error)) error {
	return clock.Every(ctx, inv.sweep, report)
}

// sweep ends what is due and returns how long nothing will be, at most a second: a hold made meanwhile, elsewhere, may
// be a short one.
func (inv *Inventory) sweep(ctx context.Context) (time.Duration, error) {
	for n := sweepLot; n == sweepLot; {
		var err error
		if n, err = inv.store.Expire(ctx, inv.clock.Now(), sweepLot); err != nil {
			return sweepPoll, inv.sweepSingly(ctx, err)
		}
	}
	next, any, err := inv.store.NextExpiry(ctx)
	if err != nil || !any {
		return sweepPoll, err
	}
	// What is due by now is somebody else's already, so there is a pause even then.
	return min(max(next.Sub(inv.clock.Now()), sweepPause), sweepPoll), nil
}

// sweepSingly ends what is due one by one, after a lot failed: one hold that cannot be ended must not keep the others.
func (inv *Inventory) sweepSingly(ctx context.Context, why error) error {
	due, err := inv.store.Due(ctx, inv.clock.Now(), 10*sweepLot)
	if err != nil {
		return errors.Join(why, err)
	}
	failed := []error{why}
	for _, r := range due {
		if _, err := inv.store.End(ctx, r, Expired, inv.clock.Now()); err != nil {
			failed = append(failed, fmt.Errorf("end %s: %w", r, err))
		}
	}
	return errors.Join(failed...)
}

// ForgetAnswers makes room: keys used before a time can be used anew. It looks at a part of them each time, and at the next part the next
// time, and returns how many it forgot.
func (inv *Inventory) ForgetAnswers(ctx context.Context, before time.Time) (int64, error) {
	return inv.store.ForgetAnswers(ctx, before)
}

func checkKey(key string, field ...string) error {
	if key == "" || len(key) > longestKey {
		return invalid("an idempotency key has 1 to %d characters", longestKey).At(field...)
	}
	return nil
}
