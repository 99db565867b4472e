package postgres_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// cpu reports what n holds cost since it was called: CPU time of this process, and of the server. Unlike the time by the clock it says
// something on a busy machine too.
func (s *shop) cpu(b *testing.B) (report func(n int)) {
	b.Helper()
	ours, server := ownCPU(b), s.serverCPU(b)
	return func(n int) {
		b.ReportMetric(float64((ownCPU(b)-ours).Microseconds())/float64(n), "client-µs/hold")
		b.ReportMetric(float64((s.serverCPU(b)-server).Microseconds())/float64(n), "server-µs/hold")
	}
}

func ownCPU(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// serverCPU adds up the time of all the server's processes, those of connections that are closed included.
func (s *shop) serverCPU(b *testing.B) (sum time.Duration) {
	const utime, stime, cutime, cstime = 11, 12, 13, 14
	ticks := 0
	for i, p := range serverProcesses(b, dataDirectory(b, s.pool)) {
		of := []int{utime, stime}
		if i == 0 {
			of = append(of, cutime, cstime)
		}
		for _, f := range of {
			n, err := strconv.Atoi(p.stat[f])
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// instructions reports what the server executes for each of n, on the connections that there are by now, where perf can count it. It is the
// same on a busy machine, within half a per cent.
func instructions(b *testing.B, pool *pgxpool.Pool) (report func(n int)) {
	b.Helper()
	var pids string
	if err := pool.QueryRow(b.Context(), `SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE datname = current_database()`).Scan(&pids); err != nil {
		b.Fatal(err)
	}
	perf := exec.Command("perf", "stat", "-x,", "-e", "instructions:u", "-p", pids)
	var said strings.Builder
	perf.Stderr = &said
	if err := perf.Start(); err != nil {
		b.Log(err)
		return func(int) {}
	}
	time.Sleep(300 * time.Millisecond) // it says nothing when it begins
	return func(n int) {
		if err := perf.Process.Signal(os.Interrupt); err != nil {
			b.Fatal(err)
		}
		_ = perf.Wait() // says how it was interrupted
		counted, _, _ := strings.Cut(said.String(), ",")
		if all, err := strconv.ParseFloat(counted, 64); err != nil {
			b.Log(said.String())
		} else {
			b.ReportMetric(all/1000/float64(n), "server-kinstructions/op")
		}
	}
}
