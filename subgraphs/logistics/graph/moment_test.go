package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/postgres"
)

// A parcel's status is the one that its events say, even when something happens to it after every single question.
func TestAParcelIsReadAsOfOneMoment(t *testing.T) {
	s := setup(t)
	parcel, _ := s.ship(s.seller, s.parcel("parcel-1-key", 3))
	later := logistics.New(s.store, s.others, s.desk, clock.Hold(s.clock.Now().Add(time.Hour)))
	way := []logistics.Status{logistics.HandedOver, logistics.InTransit, logistics.OutForDelivery, logistics.Delivered}
	told := 0
	pool := pgtest.Watched(t, s.pool, func(sql string) {
		if !strings.Contains(sql, "FROM shipments") || strings.Contains(sql, "shipment_") {
			return
		}
		told++
		e := logistics.Event{ID: fmt.Sprint("e", told), At: s.clock.Now().Add(time.Duration(told) * time.Minute), Status: way[told-1]}
		if _, err := later.Report(t.Context(), staff, parcel, e); err != nil {
			t.Error(err)
		}
	})
	store := postgres.NewStore(pool)
	for _, ask := range []func() ([]logistics.Shipment, error){
		func() ([]logistics.Shipment, error) { return store.ShipmentsByID(t.Context(), []string{parcel}) },
		func() ([]logistics.Shipment, error) {
			of, err := store.ShipmentsOfOrders(t.Context(), []string{s.others.order.OrderID})
			return of[s.others.order.OrderID], err
		},
		func() ([]logistics.Shipment, error) { return store.UnderWay(t.Context()) },
	} {
		found, err := ask()
		if err != nil || len(found) != 1 || len(found[0].Lines) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		if p := found[0]; p.Events[len(p.Events)-1].Status != p.Status || len(p.Events) != p.Version {
			t.Errorf("it is %s in version %d, and %v happened to it", p.Status, p.Version, p.Events)
		}
	}
	if told != 3 {
		t.Errorf("%d things happened meanwhile", told)
	}
}
