package outage

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/internal/batch"
)

// Verdict says what the failure of a shared transaction means for those in it. While the database is away nobody is to blame, and
// taking the lot apart would ask it hundreds of times more.
func Verdict(err error) batch.Verdict {
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && strings.HasPrefix(refused.Code, "40"): // serialisation, deadlock
		return batch.Retry
	case Passing(err):
		return batch.Fail
	}
	return batch.Judge(err)
}
