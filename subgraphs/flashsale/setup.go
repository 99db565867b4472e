package flashsale

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Plan is a sale as somebody wants it to be.
type Plan struct {
	SaleID          string // "" for a new one
	Title           string
	Offers          []PlannedOffer
	LimitPerAccount int
	HoldTime        time.Duration
	StartsAt        time.Time
	EndsAt          time.Time
	Entry           // an open door when nothing is said
}

// A PlannedOffer is one variant in a plan.
type PlannedOffer struct {
	VariantID       string
	Price           money.Money
	Quantity        int
	LimitPerAccount int
}

// A Line is units of a variant on their way into a sale or out of it.
type Line struct {
	VariantID string `json:"variantId"`
	Quantity  int    `json:"quantity"`
}

// A Change is a plan on its way to becoming true. It is saved before any unit moves, so that whoever finds it can bring it to its
// end: the units it needs come in and the plan holds, or the plan is refused and they go back.
type Change struct {
	ID        string // the key under which the units move
	SaleID    string
	AccountID string
	SellerID  string
	Key       string
	InputHash []byte
	Plan      Plan
	Needs     []Line
	Decision  Decision
	Refusal   *fault.Error // why it was refused
	CreatedAt time.Time
}

// A Decision is how a change ended. The first one stands, whoever makes it.
type Decision string

// The decisions of a change.
const (
	Pending Decision = "PENDING"
	Applied Decision = "APPLIED"
	Refused Decision = "REFUSED"
)

// A Transfer is units that have left a sale and are to go back into stock, under its own id as the key.
type Transfer struct {
	ID     string
	SaleID string
	Lines  []Line
}

// Changes keeps what is under way between a sale and the stock.
type Changes interface {
	// Begin makes the caller's key name this change, or returns the one it names already. ErrChanging when another change of the
	// sale is under way.
	Begin(ctx context.Context, c Change) (Change, error)
	// Finish decides a change that is pending still, and returns it as it was decided: refused for why, or by the rule, or else
	// applied with what the rule moved. The units that came in for a refused change are to go back. The rule gets the stand of the
	// sale, without offers when it is new.
	Finish(ctx context.Context, c Change, why *fault.Error, in []Line, at time.Time, rule func(*Stand) error) (Change, error)
	// PendingChanges lists up to most changes that were begun before a time.
	PendingChanges(ctx context.Context, before time.Time, most int) ([]Change, error)
	// PendingTransfers lists up to most transfers that are not done: of one sale, or of all for "".
	PendingTransfers(ctx context.Context, saleID string, most int) ([]Transfer, error)
	// TransferDone notes that the units are back in stock.
	TransferDone(ctx context.Context, transferID string, at time.Time) error
}

const (
	mostOffers   = 50
	mostUnits    = 1_000_000 // of one variant in a sale
	mostPerOne   = 100
	longestTitle = 200
	shortestHold = 5 * time.Second
	longestHold  = 15 * time.Minute
	longestSale  = 30 * 24 * time.Hour
)

// The refusals of setting up and changing a sale.
var (
	ErrChanging     = fault.New(fault.Conflict, "CHANGING", "another change of this sale is under way")
	ErrStarted      = fault.New(fault.Conflict, "STARTED", "the sale has started; this stays as it is")
	ErrOver         = fault.New(fault.Conflict, "NOT_OPEN", "the sale is over")
	ErrInsufficient = fault.New(fault.Conflict, "INSUFFICIENT_STOCK", "the stock has fewer")
	ErrNotYours     = fault.New(fault.NotFound, "NOT_FOUND", "there is no such variant, or it is not yours")
)

// Save sets a sale up, or changes one. It may be called again with the same key and gives the same answer.
func (fs *FlashSales) Save(ctx context.Context, who viewer.Viewer, p Plan, key string) (Sale, error) {
	p.Title = strings.TrimSpace(p.Title)
	p.StartsAt, p.EndsAt = p.StartsAt.UTC().Truncate(time.Microsecond), p.EndsAt.UTC().Truncate(time.Microsecond)
	p.Entry = p.Entry.orOpen()
	p.RoomOpensAt = p.RoomOpensAt.UTC().Truncate(time.Microsecond)
	if err := p.check(); err != nil {
		return Sale{}, err
	}
	if err := checkKey(key); err != nil {
		return Sale{}, err
	}
	seller, err := fs.sellerOf(ctx, who, p)
	if err != nil {
		return Sale{}, err
	}
	hash, err := hashOf(p)
	if err != nil {
		return Sale{}, err
	}
	c := Change{ID: id.New(id.Change), SaleID: p.SaleID, AccountID: who.AccountID, SellerID: seller, Key: key, InputHash: hash, Plan: p, Decision: Pending, CreatedAt: fs.clock.Now()}
	had := map[string]int{}
	if p.SaleID == "" {
		c.SaleID = id.New(id.FlashSale)
	} else {
		found, err := fs.SalesByID(ctx, []string{p.SaleID})
		if err != nil {
			return Sale{}, err
		}
		if len(found) == 0 || found[0].SellerID != seller {
			return Sale{}, ErrNoSale.At("input", "id")
		}
		for _, o := range found[0].Offers {
			had[o.VariantID] = o.Quantity
		}
	}
	for _, o := range p.Offers {
		if more := o.Quantity - had[o.VariantID]; more > 0 {
			c.Needs = append(c.Needs, Line{o.VariantID, more})
		}
	}
	begun, err := fs.store.Begin(ctx, c)
	if err != nil {
		return Sale{}, at(err, "id")
	}
	if string(begun.InputHash) != string(hash) {
		return Sale{}, ErrKeyReused
	}
	return fs.carryOut(ctx, begun)
}

func hashOf(p Plan) ([]byte, error) {
	b, err := json.Marshal(p)
	sum := sha256.Sum256(b)
	return sum[:], err
}

// check keeps the bounds that the schema states.
func (p Plan) check() error {
	if p.SaleID != "" {
		if err := id.Check(id.FlashSale, p.SaleID, "input", "id"); err != nil {
			return err
		}
	}
	switch n := utf8.RuneCountInString(p.Title); {
	case n < 1 || n > longestTitle:
		return invalid("a title has 1 to %d characters", longestTitle).At("input", "title")
	case len(p.Offers) < 1 || len(p.Offers) > mostOffers:
		return invalid("a sale has 1 to %d offers", mostOffers).At("input", "offers")
	case p.LimitPerAccount < 1 || p.LimitPerAccount > mostPerOne:
		return invalid("an account may have 1 to %d", mostPerOne).At("input", "limitPerAccount")
	case p.HoldTime < shortestHold || p.HoldTime > longestHold:
		return invalid("a booking is held for %d to %d seconds", int(shortestHold.Seconds()), int(longestHold.Seconds())).At("input", "holdSeconds")
	case !p.EndsAt.After(p.StartsAt) || p.EndsAt.Sub(p.StartsAt) > longestSale:
		return invalid("a sale ends after it starts, within 30 days").At("input", "endsAt")
	}
	if err := p.Entry.check(p.StartsAt); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, o := range p.Offers {
		field := func(name string) []string { return []string{"input", "offers", strconv.Itoa(i), name} }
		if err := id.Check(id.Variant, o.VariantID, field("variantId")...); err != nil {
			return err
		}
		switch {
		case seen[o.VariantID]:
			return invalid("a variant is offered once").At(field("variantId")...)
		case o.Price.Amount <= 0:
			return invalid("a price is more than nothing").At(field("price")...)
		case o.Quantity < 1 || o.Quantity > mostUnits:
			return invalid("there are 1 to %d units", mostUnits).At(field("quantity")...)
		case o.LimitPerAccount < 1 || o.LimitPerAccount > mostPerOne:
			return invalid("an account may have 1 to %d", mostPerOne).At(field("limitPerAccount")...)
		}
		seen[o.VariantID] = true
	}
	return nil
}

// sellerOf returns whose goods the plan offers, when they are all one seller's and the viewer's to offer.
func (fs *FlashSales) sellerOf(ctx context.Context, who viewer.Viewer, p Plan) (seller string, err error) {
	ids := make([]string, len(p.Offers))
	for i, o := range p.Offers {
		ids[i] = o.VariantID
	}
	goods, err := fs.shop.Goods(ctx, ids)
	if err != nil {
		return "", err
	}
	for i, o := range p.Offers {
		field := []string{"input", "offers", strconv.Itoa(i), "variantId"}
		n := slices.IndexFunc(goods, func(g events.VariantInfo) bool { return g.ID == o.VariantID })
		switch {
		case n < 0 || !who.Sells(goods[n].SellerID) && !who.Staff():
			return "", ErrNotYours.At(field...)
		case seller != "" && goods[n].SellerID != seller:
			return "", invalid("a sale offers one seller's goods").At(field...)
		}
		seller = goods[n].SellerID
	}
	return seller, nil
}

// carryOut brings a change to its end, from wherever it was left: the units move under its id, so once, and one decision stands.
func (fs *FlashSales) carryOut(ctx context.Context, c Change) (Sale, error) {
	if c.Decision == Pending {
		var err error
		if c, err = fs.decide(ctx, c); err != nil {
			return Sale{}, err
		}
	}
	if c.Decision == Refused {
		// What came in for it goes back now, or by and by.
		if err := fs.sendBack(ctx, c.SaleID); err != nil && c.Refusal == nil {
			return Sale{}, err
		}
		return Sale{}, c.Refusal
	}
	found, err := fs.SalesByID(ctx, []string{c.SaleID})
	if err != nil || len(found) == 0 {
		return Sale{}, err
	}
	_ = fs.sendBack(ctx, c.SaleID) // the sale is as it was wanted; what it gave up goes back now, or by and by
	return found[0], nil
}

func (fs *FlashSales) decide(ctx context.Context, c Change) (Change, error) {
	var why *fault.Error
	var in []Line
	if len(c.Needs) > 0 {
		rep, err := fs.shop.MoveToPool(ctx, events.PoolRequest{IdempotencyKey: c.ID, PoolID: c.SaleID, Lines: poolLines(c.Needs)})
		refused, ok := fault.ForUser(err)
		switch {
		case ok:
			why = refused.At("input", "offers")
		case err != nil:
			return c, fmt.Errorf("move units into the sale: %w", err)
		case len(rep.Short) > 0:
			why = shortage(c.Plan, rep.Short[0])
		default:
			in = c.Needs
		}
	}
	return fs.store.Finish(ctx, c, why, in, fs.clock.Now(), func(s *Stand) error { return s.Become(c, in) })
}

func shortage(p Plan, short events.Shortage) *fault.Error {
	i := slices.IndexFunc(p.Offers, func(o PlannedOffer) bool { return o.VariantID == short.VariantID })
	return ErrInsufficient.Says("the stock has %d that are not held; %d more are wanted", short.Available, short.Wanted).
		At("input", "offers", strconv.Itoa(i), "quantity")
}

func poolLines(lines []Line) []events.HoldLine {
	out := make([]events.HoldLine, len(lines))
	for i, l := range lines {
		out[i] = events.HoldLine{VariantID: l.VariantID, Quantity: l.Quantity}
	}
	return out
}

// sendBack puts units that have left a sale, or any sale for "", back into stock.
func (fs *FlashSales) sendBack(ctx context.Context, saleID string) error {
	due, err := fs.store.PendingTransfers(ctx, saleID, lot)
	failed := []error{err}
	for _, t := range due {
		err := fs.shop.MoveFromPool(ctx, events.PoolRequest{IdempotencyKey: t.ID, PoolID: t.SaleID, Lines: poolLines(t.Lines)})
		if err == nil {
			err = fs.store.TransferDone(ctx, t.ID, fs.clock.Now())
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("return units of %s: %w", t.SaleID, err))
		}
	}
	return errors.Join(failed...)
}

// Become makes the sale what a change wants, with the units that came in for it. Until the start everything but the variants
// may change, and until its waiting room is open the way in; from then on buyers rely on what they have read: the title may change,
// the end move back, units be added, and people be let in faster or slower.
func (s *Stand) Become(c Change, in []Line) error {
	p, sale := c.Plan, s.Sale
	if len(sale.Offers) == 0 {
		sale.SellerID, sale.Told, sale.Seed = c.SellerID, Scheduled, newSeed()
		for _, o := range p.Offers {
			sale.Offers = append(sale.Offers, Offer{SaleID: sale.ID, VariantID: o.VariantID})
		}
	} else if err := s.mayBecome(p); err != nil {
		return err
	}
	if !p.EndsAt.After(s.At) {
		return invalid("the end is past").At("input", "endsAt")
	}
	roomIsOpen := s.roomIsOpen()
	s.edited = true
	sale.Title, sale.StartsAt, sale.EndsAt = p.Title, p.StartsAt, p.EndsAt
	sale.LimitPerAccount, sale.HoldTime = p.LimitPerAccount, p.HoldTime
	sale.Entry = sale.Entry.become(p.Entry.orOpen(), p.StartsAt, roomIsOpen)
	for _, l := range in {
		if err := s.move(Move{Kind: Allot, VariantID: l.VariantID, Quantity: l.Quantity, ChangeID: c.ID}); err != nil {
			return err
		}
	}
	less := Transfer{ID: id.New(id.Change), SaleID: sale.ID}
	for _, o := range p.Offers {
		is := sale.Offer(o.VariantID)
		is.Price, is.LimitPerAccount = o.Price, o.LimitPerAccount
		switch {
		case is.Quantity < o.Quantity:
			return ErrChanging // it was another sale when the units were asked for
		case is.Quantity > o.Quantity:
			less.Lines = append(less.Lines, Line{o.VariantID, is.Quantity - o.Quantity})
		}
	}
	return s.giveBack(less)
}

func (s *Stand) mayBecome(p Plan) error {
	sale := s.Sale
	if sale.Over(s.At) {
		return ErrOver.At("input", "id")
	}
	if len(p.Offers) != len(sale.Offers) {
		return invalid("what a sale offers does not change").At("input", "offers")
	}
	started := !s.At.Before(sale.StartsAt)
	if err := s.mayEnterBy(p.Entry.orOpen(), started); err != nil {
		return err
	}
	switch {
	case !started:
	case !p.StartsAt.Equal(sale.StartsAt):
		return ErrStarted.At("input", "startsAt")
	case p.EndsAt.Before(sale.EndsAt):
		return ErrStarted.At("input", "endsAt")
	case p.LimitPerAccount != sale.LimitPerAccount:
		return ErrStarted.At("input", "limitPerAccount")
	case p.HoldTime != sale.HoldTime:
		return ErrStarted.At("input", "holdSeconds")
	}
	for i, o := range p.Offers {
		is := sale.Offer(o.VariantID)
		field := func(name string) []string { return []string{"input", "offers", strconv.Itoa(i), name} }
		switch {
		case is == nil:
			return invalid("what a sale offers does not change").At(field("variantId")...)
		case !started:
		case o.Price != is.Price:
			return ErrStarted.At(field("price")...)
		case o.LimitPerAccount != is.LimitPerAccount:
			return ErrStarted.At(field("limitPerAccount")...)
		case o.Quantity < is.Quantity:
			return ErrStarted.At(field("quantity")...)
		}
	}
	return nil
}

// roomIsOpen tells whether people may have joined.
func (s *Stand) roomIsOpen() bool { return s.Sale.HasRoom() && !s.At.Before(s.Sale.RoomOpensAt) }

func (s *Stand) mayEnterBy(e Entry, started bool) error {
	switch is := s.Sale.Entry; {
	case !started && !s.roomIsOpen():
	case e.Admission != is.Admission:
		return ErrStarted.At("input", "admission")
	case !e.RoomOpensAt.IsZero() && !e.RoomOpensAt.Equal(is.RoomOpensAt):
		return ErrStarted.At("input", "roomOpensAt")
	}
	return nil
}

// Cancel calls a sale off.
func (fs *FlashSales) Cancel(ctx context.Context, who viewer.Viewer, saleID string) (is Sale, err error) {
	if err := id.Check(id.FlashSale, saleID, "input", "id"); err != nil {
		return Sale{}, err
	}
	err = fs.serve(ctx, saleID, Wanted{}, func(s *Stand) error {
		if !who.Sells(s.Sale.SellerID) && !who.Staff() {
			return ErrNoSale
		}
		switch s.Sale.Status(s.At) {
		case Cancelled:
		case Ended:
			return ErrOver
		default:
			now := s.At
			s.Sale.CancelledAt, s.edited = &now, true
		}
		return nil
	})
	if err != nil {
		return Sale{}, at(err, "id")
	}
	_ = fs.sendBack(ctx, saleID) // what was left goes back now, or by and by
	found, err := fs.SalesByID(ctx, []string{saleID})
	if err != nil || len(found) == 0 {
		return Sale{}, err
	}
	return found[0], nil
}
