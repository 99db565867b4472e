package logistics

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/postal"
	"github.com/souk-shop/souk/internal/viewer"
)

// An Estimate is when something would arrive.
type Estimate struct {
	Earliest    time.Time
	Latest      time.Time
	Cost        money.Money
	Courier     string
	WarehouseID string
}

// A Parcel is goods somebody may want to have sent.
type Parcel struct {
	WeightGrams  int
	WarehouseIDs []string // where there are some
}

// Goal is where goods should go.
type Goal struct {
	Country, Pincode string
}

// ErrPincode refuses what no postal code looks like.
var ErrPincode = fault.New(fault.Invalid, "INVALID_PINCODE", postal.Shape).At("pincode")

// goal reads a postal code as people write it.
func goal(country, pincode string) (Goal, error) {
	code, ok := postal.Code(pincode)
	if !ok {
		return Goal{}, ErrPincode
	}
	return Goal{country, code}, nil
}

// country of a postal code that comes without one: the caller's, else where the shop began.
func country(given *string, who viewer.Viewer) string {
	switch {
	case given != nil:
		return *given
	case who.Country != "":
		return who.Country
	}
	return "US"
}

// GoalOf is where somebody's estimates go: the postal code given, else the caller's default address; nil when there is none.
func (l *Logistics) GoalOf(ctx context.Context, who viewer.Viewer, pincode, given *string) (*Goal, error) {
	if pincode != nil {
		g, err := goal(country(given, who), *pincode)
		return &g, err
	}
	if !who.SignedIn() {
		return nil, nil
	}
	a, err := l.others.DefaultAddress(ctx, who.AccountID)
	if err != nil || a == nil {
		return nil, err
	}
	g, err := goal(a.Country, a.Pincode)
	return &g, err
}

// Reach tells whether, and by whom, a postal code is reached.
func (l *Logistics) Reach(ctx context.Context, who viewer.Viewer, pincode string, given *string) (Serviceability, error) {
	g, err := goal(country(given, who), pincode)
	if err != nil {
		return Serviceability{}, err
	}
	return l.reach(ctx, g)
}

func (l *Logistics) reach(ctx context.Context, g Goal) (Serviceability, error) {
	s := Serviceability{Pincode: g.Pincode, Couriers: []string{}}
	place, err := l.PlaceAt(ctx, g.Country, g.Pincode)
	if err != nil || place == nil {
		return s, err
	}
	couriers, err := l.Couriers(ctx)
	if err != nil {
		return s, err
	}
	for _, c := range couriers {
		if c.Goes(g.Country, g.Country) {
			s.Couriers = append(s.Couriers, c.Code)
		}
	}
	slices.Sort(s.Couriers)
	s.Cod = place.COD && s.Serviceable()
	return s, nil
}

// A Desktop knows everything estimates to one place depend on: read once, asked for every parcel.
type Desktop struct {
	to         *Place // nil when nobody knows the place
	couriers   []Courier
	warehouses map[string]Warehouse
	now        time.Time
}

// To reads what estimates to a place depend on: three questions, however many parcels.
func (l *Logistics) To(ctx context.Context, g *Goal) (Desktop, error) {
	d := Desktop{now: l.clock.Now(), warehouses: map[string]Warehouse{}}
	if g == nil {
		return d, nil
	}
	var err error
	if d.to, err = l.PlaceAt(ctx, g.Country, g.Pincode); err != nil || d.to == nil {
		return d, err
	}
	if d.couriers, err = l.Couriers(ctx); err != nil {
		return d, err
	}
	all, err := l.Warehouses(ctx)
	for _, w := range all {
		d.warehouses[w.ID] = w
	}
	return d, err
}

// How long it takes beside the way itself.
const (
	packing = 24 * time.Hour // until a courier has it
	slack   = 48 * time.Hour // between not before and not after
)

// Estimate tells when a parcel would arrive: from the nearest warehouse that has the goods and a courier to the place, by the
// courier who is there first, the cheaper of two that are there the same day. Nil when nobody can bring it.
func (d Desktop) Estimate(p Parcel) *Estimate {
	if d.to == nil {
		return nil
	}
	var from *Warehouse
	nearest := math.Inf(1)
	for _, id := range p.WarehouseIDs {
		w, known := d.warehouses[id]
		if km := distance(w.Latitude, w.Longitude, d.to.Latitude, d.to.Longitude); known && km < nearest && d.served(w) {
			nearest, from = km, &w
		}
	}
	if from == nil {
		return nil
	}
	var best *Estimate
	for _, c := range d.couriers {
		if !c.Goes(from.Country, d.to.Country) {
			continue
		}
		days := int(math.Ceil(nearest / c.KmPerDay))
		earliest := d.now.Add(packing).Truncate(24*time.Hour).AddDate(0, 0, max(days, 1))
		e := Estimate{Earliest: earliest, Latest: earliest.Add(slack), Cost: c.cost(p.WeightGrams, nearest), Courier: c.Code, WarehouseID: from.ID}
		if best == nil || e.Earliest.Before(best.Earliest) || e.Earliest.Equal(best.Earliest) && e.Cost.Amount < best.Cost.Amount {
			best = &e
		}
	}
	return best
}

func (d Desktop) served(w Warehouse) bool {
	return slices.ContainsFunc(d.couriers, func(c Courier) bool { return c.Goes(w.Country, d.to.Country) })
}

func (c Courier) cost(grams int, km float64) money.Money {
	kilos, thousands := int64((grams+999)/1000), int64(math.Ceil(km/1000))
	return money.Money{Amount: c.Base.Amount + kilos*c.PerKg.Amount + thousands*c.PerMm.Amount, Currency: c.Base.Currency}
}

// distance is the length of the great circle between two points in kilometres, by the haversine formula.
func distance(lat1, lon1, lat2, lon2 float64) float64 {
	const earth = 6371.0088 // mean radius in km, IUGG
	rad := math.Pi / 180
	dLat, dLon := (lat2-lat1)*rad, (lon2-lon1)*rad
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(lat1*rad)*math.Cos(lat2*rad)*math.Pow(math.Sin(dLon/2), 2)
	return 2 * earth * math.Asin(math.Min(1, math.Sqrt(h)))
}
