// Package outage tells what goes by from what stays: a store that is away from a request that will never work.
package outage

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/souk-shop/souk/internal/fault"
)

// ErrUnavailable is what callers are told of an outage.
var ErrUnavailable = fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "this cannot be reached right now: try again in a moment")

// Passing tells whether an error says that something around us is down or in the way, rather than that what was asked for cannot be
// done. It may be asked for again until it works: a store that is away for an hour costs no events.
func Passing(err error) bool {
	if fault.KindOf(err) == fault.Unavailable || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		// connection, rollback (deadlock, serialisation), resources, operator intervention, lock not available
		for _, class := range []string{"08", "40", "53", "57", "55P03"} {
			if strings.HasPrefix(refused.Code, class) {
				return true
			}
		}
		return false
	}
	if mongo.IsNetworkError(err) || mongo.IsTimeout(err) {
		return true
	}
	var network net.Error
	var connect *pgconn.ConnectError
	if errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) {
		return true
	}
	for _, down := range []error{
		io.EOF, io.ErrUnexpectedEOF,
		nats.ErrNoServers, nats.ErrNoResponders, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrReconnectBufExceeded, nats.ErrDisconnected,
	} {
		if errors.Is(err, down) {
			return true
		}
	}
	return false
}
