package postgres_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// A process is one of the server's, with what Linux tells of it.
type process struct {
	pid  int
	stat []string // the fields of /proc/PID/stat behind the name, which may have spaces
}

// dataDirectory returns where a server has its data.
func dataDirectory(t testing.TB, pool *pgxpool.Pool) (dir string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SHOW data_directory`).Scan(&dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serverProcesses returns the processes of a server on this machine, the one that started the others first.
func serverProcesses(t testing.TB, dir string) []process {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(file), "\n")
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	found := make([]process, 1)
	for _, dir := range all {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		p := process{pid, strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))}
		switch first {
		case filepath.Base(dir):
			found[0] = p
		case p.stat[1]: // its parent
			found = append(found, p)
		}
	}
	return found
}
