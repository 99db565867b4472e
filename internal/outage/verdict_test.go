package outage_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/outage"
)

// Only what a request may be to blame for is worth taking a lot apart.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want batch.Verdict
	}{
		{&pgconn.PgError{Code: "23514"}, batch.Split},
		{errors.New("a bug"), batch.Split},
		{&pgconn.PgError{Code: "40P01"}, batch.Retry},
		{&pgconn.PgError{Code: "57P01"}, batch.Fail},
		{&pgconn.ConnectError{}, batch.Fail},
		{fmt.Errorf("hold: %w", io.ErrUnexpectedEOF), batch.Fail}, // the database died under a statement
	} {
		if got := outage.Verdict(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
