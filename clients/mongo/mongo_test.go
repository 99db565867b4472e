package mongo_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/mongo"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, at := range []string{"", "http://127.0.0.1", "mongodb://127.0.0.1:1/souk"} {
		if _, err := mongo.Open(ctx, at); err == nil {
			t.Errorf("%q was opened", at)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	at := os.Getenv("SOUK_TEST_MONGO_URL")
	if at == "" {
		t.Skip("SOUK_TEST_MONGO_URL names no server")
	}
	db, err := mongo.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Client().Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
}
