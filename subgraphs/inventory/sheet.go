package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

// A Sheet is holds of one variant that are made together: their part of its ledger, a movement for each line, and all that is
// known of them.
type Sheet struct {
	ID        string // what the ids of its reservations begin with: see id.Range
	VariantID string
	FirstSeq  int64
	Places    []Level // where the units are, as it is after all of the sheet
	Lines     []SheetLine

	levels []*Level // of Places, as it is now
}

// A SheetLine is one movement of a sheet.
type SheetLine struct {
	Tail      string // what the reservation's id ends with
	Place     int    // among the sheet's
	Quantity  int
	OrderID   string
	AccountID string
	Key       string
	ExpiresAt time.Time
}

// LastSeq returns the seq of its last movement.
func (s *Sheet) LastSeq() int64 { return s.FirstSeq + int64(len(s.Lines)) - 1 }

// DueAt returns when the first of its holds runs out.
func (s *Sheet) DueAt() time.Time {
	return slices.MinFunc(s.Lines, func(a, b SheetLine) int { return a.ExpiresAt.Compare(b.ExpiresAt) }).ExpiresAt
}

// Sheets returns the holds made so far; the shelf begins new ones after.
func (s *Shelf) Sheets() []*Sheet {
	s.close()
	return s.sheets
}

// Expect tells the shelf that so many holds will follow.
func (s *Shelf) Expect(holds int) { s.expected = holds }

// Hold takes units out of what can be had, for all of the request or for nothing, and returns the reservation's id.
func (s *Shelf) Hold(r *HoldRequest) (reservationID string, short []events.Shortage, err error) {
	if err := r.timely(s.at); err != nil {
		return "", nil, err
	}
	for _, w := range r.Wanted {
		available := 0
		if of := s.stock[w.VariantID]; of != nil {
			available = of.Available()
		}
		if available < w.Quantity {
			short = append(short, events.Shortage{VariantID: w.VariantID, Wanted: w.Quantity, Available: available})
		}
	}
	if short != nil {
		return "", short, nil
	}
	for _, w := range r.Wanted {
		if total(s.levels[w.VariantID]) < w.Quantity {
			return "", nil, fmt.Errorf("the levels of %s are not its stock", w.VariantID)
		}
	}
	if s.holds == id.RangeSize {
		s.close()
	}
	if s.holds == 0 {
		s.sheetID = id.Range(id.Reservation)
	}
	tail := id.Tail(s.holds)
	s.holds++
	for _, w := range r.Wanted {
		sheet := s.sheetOf(w.VariantID)
		pick(s.levels[w.VariantID], w.Quantity, func(l *Level, n int) {
			l.Held += n
			sheet.Lines = append(sheet.Lines, SheetLine{
				Tail: tail, Place: sheet.place(l), Quantity: n, OrderID: r.OrderID, AccountID: r.AccountID, Key: r.Once.Key, ExpiresAt: r.ExpiresAt,
			})
			s.stock[w.VariantID].Seq++
		})
		s.stock[w.VariantID].Held += w.Quantity
	}
	return s.sheetID + tail, nil, nil
}

// sheetOf returns the sheet that holds of a variant are written on.
func (s *Shelf) sheetOf(variantID string) *Sheet {
	for _, sheet := range s.sheets[s.closed:] {
		if sheet.VariantID == variantID {
			return sheet
		}
	}
	sheet := &Sheet{ID: s.sheetID, VariantID: variantID, FirstSeq: s.stock[variantID].Seq + 1, Lines: make([]SheetLine, 0, s.expected)}
	s.sheets = append(s.sheets, sheet)
	return sheet
}

func (s *Sheet) place(l *Level) int {
	i := slices.Index(s.levels, l)
	if i < 0 {
		i = len(s.levels)
		s.levels = append(s.levels, l)
	}
	return i
}

// close ends the sheets that are open, as the levels are now.
func (s *Shelf) close() {
	for _, sheet := range s.sheets[s.closed:] {
		for _, l := range sheet.levels {
			sheet.Places = append(sheet.Places, *l)
		}
	}
	s.closed, s.holds = len(s.sheets), 0
}

func total(levels []*Level) (n int) {
	for _, l := range levels {
		n += l.Available()
	}
	return n
}

// pick chooses warehouses for units that are there: the fullest, if it has them all, else as few as possible.
func pick(levels []*Level, quantity int, take func(l *Level, n int)) {
	fuller := func(a, b *Level) int {
		return cmp.Or(cmp.Compare(b.Available(), a.Available()), cmp.Compare(a.WarehouseID, b.WarehouseID))
	}
	if len(levels) > 0 {
		if fullest := slices.MinFunc(levels, fuller); fullest.Available() >= quantity {
			take(fullest, quantity)
			return
		}
	}
	for _, l := range slices.SortedFunc(slices.Values(levels), fuller) {
		if n := min(quantity, l.Available()); n > 0 {
			take(l, n)
			quantity -= n
		}
	}
}
