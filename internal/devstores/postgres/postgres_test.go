package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/devstores/postgres"
	"github.com/souk-shop/souk/internal/quietport"
)

// The test binary is its own victim: with this variable set it starts a server, does as told and waits to be killed.
const victim = "SOUK_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		if err := live(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// live writes rows one by one and prints each number once it is acknowledged.
func live(dir string) error {
	ctx := context.Background()
	s, err := postgres.Start(ctx, postgres.Config{Dir: dir, Databases: []string{"souk"}})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.URL("souk"))
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS written (n bigserial PRIMARY KEY)`); err != nil {
		return err
	}
	for {
		var n int
		if err := conn.QueryRow(ctx, `INSERT INTO written DEFAULT VALUES RETURNING n`).Scan(&n); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func start(t *testing.T, cfg postgres.Config) *postgres.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := postgres.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

func query[T any](t *testing.T, s *postgres.Server, db, sql string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(db))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// shared returns a folder that the user postgres may enter, which t.TempDir of root's is not.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "souk-pg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDataIsThereNextTime(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{Dir: shared(t), Databases: []string{"souk", "other"}}
	s := start(t, cfg)
	query[int](t, s, "souk", `WITH made AS (SELECT 1) SELECT 1`)
	conn, err := pgx.Connect(t.Context(), s.URL("souk"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE kept AS SELECT 42 AS n`); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil { // an open connection does not hold it up
		t.Fatal(err)
	}
	s = start(t, cfg)
	if n := query[int](t, s, "souk", `SELECT n FROM kept`); n != 42 {
		t.Fatalf("kept %d, want 42", n)
	}
	if on := query[string](t, s, "souk", `SHOW fsync`); on != "on" {
		t.Fatalf("fsync is %s", on)
	}
}

// What was acknowledged is there after a kill, and whoever knew the server's port finds it again.
func TestAKilledServerComesBack(t *testing.T) {
	t.Parallel()
	free, err := quietport.Address()
	if err != nil {
		t.Fatal(err)
	}
	listen := netip.MustParseAddrPort(free)
	cfg := postgres.Config{Dir: shared(t), Databases: []string{"souk"}, Port: int(listen.Port())}
	s := start(t, cfg)
	at := fmt.Sprintf("postgres://postgres@%s/souk?sslmode=disable", listen)
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE kept AS SELECT 42 AS n`); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	for err == nil { // a connection's own process ends when it sees that the server has
		_, err = conn.Exec(t.Context(), `SELECT 1`)
	}
	start(t, cfg)
	if conn, err = pgx.Connect(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT n FROM kept`).Scan(&n); err != nil || n != 42 {
		t.Errorf("kept %d, want 42: %v", n, err)
	}
}

func TestAFolderServesOneServer(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	start(t, postgres.Config{Dir: dir, Volatile: true})
	if _, err := postgres.Start(t.Context(), postgres.Config{Dir: dir}); !errors.Is(err, postgres.ErrInUse) {
		t.Fatalf("second server: %v, want ErrInUse", err)
	}
}

// The parent is killed in the middle of writing, so nobody asks the server to stop, and its files name a live process.
func TestAKilledParentTakesItsServerAlongAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for range 2 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), victim+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for i := 0; i < 50 && lines.Scan(); i++ {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				cmd.Process.Kill()
				t.Fatal(lines.Text())
			}
			most = max(most, n)
		}
		postmaster := postmasterOf(t, dir)
		cmd.Process.Kill()
		for lines.Scan() { // what it said before it died counts too
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				most = max(most, n)
			}
		}
		cmd.Wait()
		gone(t, postmaster)
	}
	// A pid that a restarted machine gave to somebody else.
	if err := os.WriteFile(filepath.Join(dir, "cluster/postmaster.pid"), fmt.Appendf(nil, "%d\n", os.Getppid()), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, postgres.Config{Dir: dir})
	if kept := query[int](t, s, "souk", `SELECT count(*) FROM written WHERE n <= `+strconv.Itoa(most)); kept < most-40 {
		t.Fatalf("%d rows up to %d", kept, most)
	}
	if last := query[int](t, s, "souk", `SELECT max(n) FROM written`); last < most {
		t.Fatalf("row %d was acknowledged, the last one is %d", most, last)
	}
}

// The server itself is killed, and comes back with everything it acknowledged.
func TestAKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	s := start(t, postgres.Config{Dir: dir})
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE kept AS SELECT generate_series(1, 1000)`); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmasterOf(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	s.Stop()
	s = start(t, postgres.Config{Dir: dir})
	if n := query[int](t, s, "postgres", `SELECT count(*) FROM kept`); n != 1000 {
		t.Fatalf("%d rows, want 1000", n)
	}
}

func TestAFolderThatOthersCannotEnter(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := postgres.Config{Dir: filepath.Join(dir, "deep", strings.Repeat("long", 30)), Volatile: true}
	for range 2 {
		s := start(t, cfg)
		if n := query[int](t, s, "postgres", `SELECT 1`); n != 1 {
			t.Fatal(n)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAHalfMadeClusterIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	if err := os.MkdirAll(filepath.Join(dir, "cluster.draft/base"), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, postgres.Config{Dir: dir, Volatile: true})
}

func TestMissingBinaries(t *testing.T) {
	t.Setenv("PG_BIN_DIR", t.TempDir())
	_, err := postgres.Start(t.Context(), postgres.Config{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "PG_BIN_DIR") {
		t.Fatalf("got %v, want a hint at PG_BIN_DIR", err)
	}
}

func TestAClusterOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	if err := os.Mkdir(filepath.Join(dir, "cluster"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cluster/PG_VERSION"), []byte("9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.Start(t.Context(), postgres.Config{Dir: dir})
	if !errors.Is(err, postgres.ErrVersion) || !strings.Contains(err.Error(), "postgresql-9") {
		t.Fatalf("got %v, want what to install", err)
	}
}

func TestBrokenClusterSaysWhy(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	s := start(t, postgres.Config{Dir: dir, Volatile: true})
	s.Stop()
	if err := os.WriteFile(filepath.Join(dir, "cluster/postgresql.conf"), []byte("no_such_setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.Start(t.Context(), postgres.Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Fatalf("got %v, want the server's own words", err)
	}
}

func postmasterOf(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cluster/postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone waits for a process that is no child of ours to end.
func gone(t *testing.T, pid int) {
	t.Helper()
	for range 1000 {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d still lives", pid)
}
