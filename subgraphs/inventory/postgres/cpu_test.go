package postgres_test

import (
	"strconv"
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
