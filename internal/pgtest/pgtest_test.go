package pgtest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/internal/pgtest"
)

var migrations = fstest.MapFS{
	"migrations/001_coins.sql": {Data: []byte("-- +goose Up\nCREATE TABLE coins (id int PRIMARY KEY);\n")},
}

func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	a, b := pgtest.New(t, migrations), pgtest.New(t, migrations, pgtest.MaxConns(2))
	if _, err := a.Exec(t.Context(), `INSERT INTO coins VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := b.QueryRow(t.Context(), `SELECT count(*) FROM coins`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d coins in another test's database, %v", n, err)
	}
	if most := b.Config().MaxConns; most != 2 {
		t.Fatalf("pool of %d, want 2", most)
	}
}

func TestADatabaseGoesWithItsTest(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("one", func(t *testing.T) {
		if err := pgtest.New(t, migrations).QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	var left int
	err := pgtest.New(t, migrations).QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname = $1`, name).Scan(&left)
	if err != nil || left != 0 {
		t.Fatalf("%d databases called %s, %v", left, name, err)
	}
}

func TestWithpgLendsItsServer(t *testing.T) {
	t.Parallel()
	bin := t.TempDir() + "/withpg"
	if out, err := exec.Command("go", "build", "-o", bin, "./withpg").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var all errgroup.Group
	for range 2 { // side by side, each with a server of its own
		all.Go(func() error {
			cmd := exec.Command(bin, "sh", "-c", "echo $"+pgtest.Variable+"; exit 3")
			cmd.Env = append(os.Environ(), pgtest.Variable+"=")
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != 3 || !strings.HasPrefix(string(out), "postgres://") {
				t.Errorf("%v: %s", err, out)
			}
			return nil
		})
	}
	all.Wait()
}

func BenchmarkNew(b *testing.B) {
	pgtest.New(b, migrations)
	for b.Loop() {
		pgtest.New(b, migrations)
	}
}
