package nats_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/nats"
)

// books is a store of address books.
type books struct {
	accounts.Store
	of map[string][]accounts.Address
}

func (b books) AddressesOf(context.Context, []string) (map[string][]accounts.Address, error) {
	return b.of, nil
}

func TestAddressOf(t *testing.T) {
	t.Parallel()
	ann, home, work := id.New(id.Account), id.New(id.Address), id.New(id.Address)
	store := books{of: map[string][]accounts.Address{ann: {
		{ID: home, AccountID: ann, Line1: "home", Country: "IN"}, {ID: work, AccountID: ann, Line1: "work", Country: "GB", Default: true},
	}}}
	carrier := call.Local(nats.Calls(accounts.New(store, nil, nil, clock.Hold(time.Unix(0, 0))))...)
	for _, c := range []struct {
		ask  events.AddressRequest
		want string
	}{
		{events.AddressRequest{AccountID: ann}, "work GB"},
		{events.AddressRequest{AccountID: ann, AddressID: home}, "home IN"},
		{events.AddressRequest{AccountID: ann, AddressID: id.New(id.Address)}, ""},
		{events.AddressRequest{AccountID: id.New(id.Account), AddressID: home}, ""},
		{events.AddressRequest{}, ""},
	} {
		got, err := events.AddressOf.Do(t.Context(), carrier, c.ask)
		var refused *fault.Error
		if c.want == "" && (!errors.As(err, &refused) || refused.Kind != fault.NotFound) || c.want != "" && got.Line1+" "+got.Country != c.want {
			t.Errorf("%+v: %+v, %v", c.ask, got, err)
		}
	}
}
