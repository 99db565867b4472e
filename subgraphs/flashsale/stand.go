package flashsale

import (
	"cmp"
	"slices"
	"time"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
)

// A Stand is a sale while one transaction has it to itself. Its methods are the rules by which units move; a method that
// returns an error has moved nothing.
type Stand struct {
	At   time.Time
	Sale *Sale

	nextEnd  map[string]time.Time // by variant: when the next of its bookings ends by itself
	bookings map[string]*Booking
	byKey    map[accountKey]*Booking
	of       map[string][]*Booking // by account
	moved    []Move
	touched  []*Booking        // made or changed, each once
	isFresh  map[*Booking]bool // of what is touched: made rather than changed
	edited   bool
	returns  []Transfer
	tickets  map[string]*Ticket // with which requests come
	used     []Ticket
}

type accountKey struct{ account, key string }

// NewStand returns the stand of a sale with some of its bookings. NextEnd is when the next booking of a variant ends by itself.
func NewStand(at time.Time, s Sale, known []Booking, nextEnd map[string]time.Time) *Stand {
	s.AsOf = at
	st := &Stand{At: at, Sale: &s, nextEnd: nextEnd, bookings: map[string]*Booking{}, byKey: map[accountKey]*Booking{}, of: map[string][]*Booking{}, isFresh: map[*Booking]bool{}}
	if nextEnd == nil {
		st.nextEnd = map[string]time.Time{}
	}
	for _, b := range known {
		st.know(&b)
	}
	return st
}

func (s *Stand) know(b *Booking) {
	s.bookings[b.ID], s.byKey[accountKey{b.AccountID, b.Key}] = b, b
	s.of[b.AccountID] = append(s.of[b.AccountID], b)
}

// Moved returns the movements so far, in the order of their seq.
func (s *Stand) Moved() []Move { return s.moved }

// Made returns the bookings made.
func (s *Stand) Made() []Booking { return s.those(true) }

// Changed returns the bookings that were there before and are not as they were.
func (s *Stand) Changed() []Booking { return s.those(false) }

func (s *Stand) those(fresh bool) (bs []Booking) {
	for _, b := range s.touched {
		if s.isFresh[b] == fresh {
			bs = append(bs, *b)
		}
	}
	return bs
}

// Edited tells whether the sale is not what it was, apart from its counts.
func (s *Stand) Edited() bool { return s.edited }

// Returns are the units that are to go back into stock.
func (s *Stand) Returns() []Transfer { return s.returns }

// Booking returns a booking that the transaction wanted to see, nil when there is none.
func (s *Stand) Booking(bookingID string) *Booking { return s.bookings[bookingID] }

// errShort is a bug: no rule asks for more than is there.
var errShort = fault.New(fault.Internal, "INTERNAL", "more units than the sale has")

// move appends to the log what m says happened, and fails when it cannot have. It is the only way in.
func (s *Stand) move(m Move) error {
	if o := s.Sale.Offer(m.VariantID); o != nil {
		after := *o
		switch m.Kind {
		case Allot:
			after.Quantity, after.Remaining = o.Quantity+m.Quantity, o.Remaining+m.Quantity
		case Return:
			after.Quantity, after.Remaining = o.Quantity-m.Quantity, o.Remaining-m.Quantity
		case Hold:
			after.Remaining, after.Held = o.Remaining-m.Quantity, o.Held+m.Quantity
		case Sell:
			after.Held, after.Sold = o.Held-m.Quantity, o.Sold+m.Quantity
		case Unsell:
			after.Sold, after.Remaining = o.Sold-m.Quantity, o.Remaining+m.Quantity
		case Release, Expire:
			after.Held, after.Remaining = o.Held-m.Quantity, o.Remaining+m.Quantity
		}
		if after.Remaining < 0 || after.Held < 0 || after.Sold < 0 || after.Quantity > mostUnits {
			return errShort
		}
		*o, m.After = after, after
	}
	s.Sale.Seq++
	m.Seq = s.Sale.Seq
	s.moved = append(s.moved, m)
	return nil
}

func (s *Stand) touch(b *Booking) {
	b.UpdatedAt = s.At
	if _, already := s.isFresh[b]; !already {
		s.touched, s.isFresh[b] = append(s.touched, b), false
	}
}

// A BookRequest asks for one unit.
type BookRequest struct {
	AccountID string
	VariantID string // "" for the only one there is
	Key       string
	TicketID  string // of the admission, "" without one
	Denied    error  // why there is none, though something came as one
}

// A BookResult is what comes of a request: one of the four, or an error that concerns this request alone.
type BookResult struct {
	Booking       *Booking
	SoldOut       *NoneLeft
	AlreadyBooked *Booking
	PollAfter     *time.Time // there were too many; nothing was tried
	Sale          Sale       // as it is after all requests that shared the transaction
	Err           error
}

// NoneLeft tells that no unit of a variant can be booked.
type NoneLeft struct {
	Held       int
	RetryAfter *time.Time // when the next that is held ends by itself
}

// Final tells whether no unit can come back.
func (n NoneLeft) Final() bool { return n.Held == 0 }

// Book holds a unit for an account, if the sale is open, one is left, and the account may have it.
func (s *Stand) Book(r BookRequest) (res BookResult) {
	if before := s.byKey[accountKey{r.AccountID, r.Key}]; before != nil {
		if before.SaleID != s.Sale.ID || r.VariantID != "" && r.VariantID != before.VariantID {
			res.Err = ErrKeyReused
			return res
		}
		again := *before
		res.Booking = &again
		return res
	}
	offer, err := s.offered(r.VariantID)
	if err != nil {
		res.Err = err
		return res
	}
	ticket, err := s.admitted(r)
	if err != nil {
		res.Err = err
		return res
	}
	ofSale, ofVariant, newest := s.had(r.AccountID, offer.VariantID)
	saleSlot, variantSlot := freeSlot(ofSale, s.Sale.LimitPerAccount), freeSlot(ofVariant, offer.LimitPerAccount)
	switch {
	case saleSlot == 0 || variantSlot == 0:
		booked := *newest
		res.AlreadyBooked = &booked
		return res
	case offer.Remaining == 0:
		res.SoldOut = &NoneLeft{Held: offer.Held}
		if at, any := s.nextEnd[offer.VariantID]; any && offer.Held > 0 {
			res.SoldOut.RetryAfter = &at
		}
		return res
	}
	b := &Booking{
		ID: id.New(id.Booking), SaleID: s.Sale.ID, VariantID: offer.VariantID, AccountID: r.AccountID, Key: r.Key, Status: Held,
		UnitPrice: offer.Price, CreatedAt: s.At, ExpiresAt: s.At.Add(s.Sale.HoldTime), SaleSlot: saleSlot, VariantSlot: variantSlot,
	}
	if res.Err = s.move(Move{Kind: Hold, VariantID: b.VariantID, Quantity: 1, BookingID: b.ID}); res.Err != nil {
		return res
	}
	b.UpdatedAt = s.At
	s.know(b)
	s.use(ticket, b)
	s.touched, s.isFresh[b] = append(s.touched, b), true
	if at, any := s.nextEnd[b.VariantID]; !any || b.ExpiresAt.Before(at) {
		s.nextEnd[b.VariantID] = b.ExpiresAt
	}
	made := *b
	res.Booking = &made
	return res
}

// offered returns what can be booked under a variant's id; without one, the only thing there is.
func (s *Stand) offered(variantID string) (*Offer, error) {
	switch status := s.Sale.Status(s.At); status {
	case Scheduled, WaitingRoom:
		return nil, ErrNotOpen.Says("the sale starts at %s", s.Sale.StartsAt.Format(time.RFC3339))
	case Ended, Cancelled:
		return nil, ErrNotOpen.Says("the sale is over")
	}
	if variantID == "" {
		if len(s.Sale.Offers) > 1 {
			return nil, invalid("the sale has several variants; say which").At("input", "variantId")
		}
		return &s.Sale.Offers[0], nil
	}
	if o := s.Sale.Offer(variantID); o != nil {
		return o, nil
	}
	return nil, ErrNotOffered
}

// had returns which of its units an account has, in the sale and of a variant, and the newest of them.
func (s *Stand) had(accountID, variantID string) (ofSale, ofVariant []int, newest *Booking) {
	for _, b := range s.of[accountID] {
		if b.SaleID != s.Sale.ID || !b.Counts() {
			continue
		}
		ofSale = append(ofSale, b.SaleSlot)
		if b.VariantID == variantID {
			ofVariant = append(ofVariant, b.VariantSlot)
		}
		if newest == nil || cmp.Or(b.CreatedAt.Compare(newest.CreatedAt), cmp.Compare(b.ID, newest.ID)) > 0 {
			newest = b
		}
	}
	return ofSale, ofVariant, newest
}

// freeSlot returns the lowest number up to limit that is not taken, 0 when all are.
func freeSlot(taken []int, limit int) int {
	for n := 1; n <= limit; n++ {
		if !slices.Contains(taken, n) {
			return n
		}
	}
	return 0
}

// End does with a held unit what the new status means. What has ended already stays as it is; a unit whose time is up can no
// longer be sold, whether or not somebody swept it already.
func (s *Stand) End(b *Booking, to BookingStatus) error {
	switch {
	case b.Status != Held,
		to == Booked && !s.At.Before(b.ExpiresAt),
		to == Expired && s.At.Before(b.ExpiresAt):
		return nil
	}
	kind := map[BookingStatus]Kind{Booked: Sell, Released: Release, Expired: Expire}[to]
	if err := s.move(Move{Kind: kind, VariantID: b.VariantID, Quantity: 1, BookingID: b.ID}); err != nil {
		return err
	}
	b.Status = to
	s.touch(b)
	return nil
}

// Undo takes a sold unit back, for its order was cancelled: it can be booked again, or goes back into stock once the sale is over.
// What is not sold stays as it is.
func (s *Stand) Undo(b *Booking) error {
	if b.Status != Booked {
		return nil
	}
	if err := s.move(Move{Kind: Unsell, VariantID: b.VariantID, Quantity: 1, BookingID: b.ID}); err != nil {
		return err
	}
	b.Status = Undone
	s.touch(b)
	return nil
}

// Pay makes a booking an order's, and prolongs it the first time.
func (s *Stand) Pay(b *Booking, orderID string, until time.Time) error {
	switch {
	case b.Status == Booked && b.OrderID == orderID:
		return nil
	case b.Status == Booked, b.Status == Held && b.OrderID != "" && b.OrderID != orderID:
		return ErrOrdered
	case b.Status != Held, !s.At.Before(b.ExpiresAt):
		return ErrHoldExpired
	case b.OrderID == orderID:
		return nil
	}
	b.OrderID = orderID
	if most := s.At.Add(payTime); until.After(most) {
		until = most
	}
	if until.After(b.ExpiresAt) {
		b.ExpiresAt = until
	}
	s.touch(b)
	return nil
}

// Pass notes what time has done to the sale: it opens, it ends, and what is left of it goes back into stock.
func (s *Stand) Pass() error {
	s.tell()
	if !s.Sale.Over(s.At) {
		return nil
	}
	left := Transfer{ID: id.New(id.Change), SaleID: s.Sale.ID}
	for _, o := range s.Sale.Offers {
		if o.Remaining > 0 {
			left.Lines = append(left.Lines, Line{o.VariantID, o.Remaining})
		}
	}
	return s.giveBack(left)
}

// tell logs that the sale has let people in, opened, ended or been called off, once.
func (s *Stand) tell() {
	is, kind := Scheduled, Kind("")
	switch status := s.Sale.Status(s.At); status {
	case WaitingRoom:
		is, kind = WaitingRoom, RoomOpened
	case Open, SoldOut:
		is, kind = Open, Opened
	case Ended:
		is, kind = Ended, Closed
	case Cancelled:
		is, kind = Cancelled, CalledOff
	}
	if is == s.Sale.Told {
		return
	}
	s.Sale.Told, s.edited = is, true
	if kind != "" {
		_ = s.move(Move{Kind: kind}) // no unit moves, so nothing can be short
	}
}

// giveBack takes units out of the sale, to go back into stock.
func (s *Stand) giveBack(t Transfer) error {
	for _, l := range t.Lines {
		if err := s.move(Move{Kind: Return, VariantID: l.VariantID, Quantity: l.Quantity, ChangeID: t.ID}); err != nil {
			return err
		}
	}
	if t.Lines != nil {
		s.returns = append(s.returns, t)
	}
	return nil
}
