package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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
	var dir string
	if err := s.pool.QueryRow(b.Context(), `SHOW data_directory`).Scan(&dir); err != nil {
		b.Fatal(err)
	}
	pidFile, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	postmaster, _, _ := strings.Cut(string(pidFile), "\n")
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	const utime, stime, cutime, cstime, ppid = 11, 12, 13, 14, 1 // after the name, which may have spaces
	ticks := 0
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		of := []int{utime, stime}
		if strings.HasPrefix(file, fmt.Sprintf("/proc/%s/", postmaster)) {
			of = append(of, cutime, cstime)
		} else if fields[ppid] != postmaster {
			continue
		}
		for _, f := range of {
			n, err := strconv.Atoi(fields[f])
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
