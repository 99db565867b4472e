// Package reference is what logistics knows from the start: places with their postal codes, and couriers.
//
// The American places are those of the stores in the Best Buy open data set (CC0); the others were written down by hand. A shop in
// another country brings its own.
package reference

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/logistics"
)

//go:embed places.csv
var places string

// Couriers is who brings parcels.
var Couriers = []logistics.Courier{
	{Code: "kite", Countries: []string{"IN", "US", "GB"}, KmPerDay: 1200, Base: usd(699), PerKg: usd(150), PerMm: usd(200)},
	{Code: "caravan", Countries: []string{"IN", "US", "GB"}, KmPerDay: 600, Base: usd(399), PerKg: usd(100), PerMm: usd(100)},
	{Code: "camel", Countries: []string{"IN", "US"}, KmPerDay: 300, Base: usd(199), PerKg: usd(50), PerMm: usd(50)},
}

func usd(cents int64) money.Money { return money.Money{Amount: cents, Currency: "USD"} }

// Places reads the places.
func Places() ([]logistics.Place, error) {
	rows, err := csv.NewReader(strings.NewReader(places)).ReadAll()
	if err != nil {
		return nil, err
	}
	out := make([]logistics.Place, 0, len(rows))
	for i, r := range rows[1:] {
		latitude, err1 := strconv.ParseFloat(r[3], 64)
		longitude, err2 := strconv.ParseFloat(r[4], 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("places.csv line %d: %q, %q are no coordinates", i+2, r[3], r[4])
		}
		out = append(out, logistics.Place{Country: r[0], Pincode: r[1], City: r[2], Latitude: latitude, Longitude: longitude, COD: r[5] == "true"})
	}
	return out, nil
}
