package mongo_test

import (
	"testing"

	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo/mongotest"
	"github.com/souk-shop/souk/subgraphs/catalog/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) catalog.Store {
		s, err := mongo.NewStore(t.Context(), mongotest.New(t).Database)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
