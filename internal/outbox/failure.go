package outbox

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"

	"github.com/souk-shop/souk/internal/fault"
)

// passing tells whether an error says that something around us is down or in the way, rather than that the event cannot
// be handled. Such an event is tried until it works: a store that is away for an hour costs no events.
func passing(err error) bool {
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
	var network net.Error
	var connect *pgconn.ConnectError
	if errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) {
		return true
	}
	for _, down := range []error{
		io.EOF, io.ErrUnexpectedEOF,
		nats.ErrNoResponders, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrReconnectBufExceeded, nats.ErrDisconnected,
	} {
		if errors.Is(err, down) {
			return true
		}
	}
	return false
}
