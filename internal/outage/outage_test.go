package outage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/outage"
)

func TestPassing(t *testing.T) {
	t.Parallel()
	_, unreachable := pgconn.Connect(t.Context(), "host=127.0.0.1 port=1 user=souk sslmode=disable")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nobody listens":            {unreachable, true},
		"shut down by an operator":  {&pgconn.PgError{Code: "57P01"}, true},
		"too many connections":      {&pgconn.PgError{Code: "53300"}, true},
		"lost a race":               {&pgconn.PgError{Code: "40001"}, true},
		"hung up":                   {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		"refused":                   {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		"late":                      {fmt.Errorf("ask: %w", context.DeadlineExceeded), true},
		"said to be away":           {fault.New(fault.Unavailable, "SERVICE_DOWN", "away"), true},
		"a constraint":              {&pgconn.PgError{Code: "23505"}, false},
		"a bug":                     {errors.New("index out of range"), false},
		"a rule":                    {fault.New(fault.Conflict, "STALE", "stale"), false},
		"the caller hung up itself": {context.Canceled, false},
	} {
		if got := outage.Passing(c.err); got != c.want {
			t.Errorf("%s (%v): %v", name, c.err, got)
		}
	}
}
