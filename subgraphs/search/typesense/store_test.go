package typesense_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/souk-shop/souk/subgraphs/search"
	"github.com/souk-shop/souk/subgraphs/search/storetest"
	"github.com/souk-shop/souk/subgraphs/search/typesense/typesensetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) search.Store { return typesensetest.New(t).Store(t) })
}
