//go:build unix

package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/transport"
)

// A crowd is told events in the way of the crier, or, when it asks for that, each in a goroutine of his own.
type crowd struct {
	mu    sync.Mutex
	hear  []transport.Hearer
	next  []chan []byte
	came  chan struct{}
	wrote sync.WaitGroup
}

func (c *crowd) Execute(ctx context.Context, q engine.Request, to transport.Reply) {
	to.Accept(engine.Subscription, false)
	if !strings.Contains(q.Query, "alone") {
		h := to.(transport.Hearer)
		context.AfterFunc(ctx, h.Stay())
		c.mu.Lock()
		c.hear = append(c.hear, h)
		c.mu.Unlock()
		c.came <- struct{}{}
		return
	}
	events := make(chan []byte, 1)
	c.mu.Lock()
	c.next = append(c.next, events)
	c.mu.Unlock()
	c.came <- struct{}{}
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			to.Next(event, true)
			c.wrote.Done()
		}
	}
}

func (c *crowd) tell(event []byte) {
	for _, h := range c.hear {
		h.Hear(event)
	}
	c.wrote.Add(len(c.next))
	for _, events := range c.next {
		events <- event
	}
	c.wrote.Wait()
}

// BenchmarkListeners reports what one listener costs the gateway for one event of 300 bytes: CPU, and how often a goroutine wakes. His memory
// while he is silent has the client's end in it.
func BenchmarkListeners(b *testing.B) {
	const listeners = 500
	for _, way := range []string{"socket", "stream", "stream alone"} {
		b.Run(way, func(b *testing.B) {
			c := &crowd{came: make(chan struct{}, listeners)}
			h := transport.New(transport.Config{Executor: c, Sessions: door{}, Keepalive: time.Hour})
			srv := httptest.NewServer(h)
			empty := inUse()
			var conns []net.Conn
			for range listeners {
				conn, err := net.Dial("tcp", srv.Listener.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				conns = append(conns, conn)
				if way == "socket" {
					io.WriteString(conn, "GET / HTTP/1.1\r\nHost: souk\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
						"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
					conn.Write(frame(opText, `{"type":"connection_init"}`))
					conn.Write(frame(opText, subscribe("1", "subscription { n }")))
				} else {
					body := fmt.Sprintf(`{"query":"subscription { %s }"}`, way)
					fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: souk\r\nAccept: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", eventStream, len(body), body)
				}
				<-c.came
			}
			event := fmt.Appendf(nil, `{"data":%q}`, strings.Repeat("x", 289))
			drain := func() {
				buf := make([]byte, 64<<10)
				for _, conn := range conns {
					for n := len(buf); n == len(buf); {
						n, _ = conn.Read(buf)
					}
				}
			}
			drain()
			kept := inUse() - empty
			var cpu time.Duration
			var woke uint64
			for b.Loop() {
				before, wakes := spent(), wakeUps()
				for range 20 {
					c.tell(event)
				}
				cpu, woke = cpu+spent()-before, woke+wakeUps()-wakes
				drain()
			}
			frames := float64(b.N) * 20 * listeners
			b.ReportMetric(float64(cpu.Nanoseconds())/1000/frames, "cpu-µs/frame")
			b.ReportMetric(float64(woke)/frames, "wakes/frame")
			b.ReportMetric(float64(kept)/listeners, "B/listener")
			b.ReportMetric(0, "ns/op")
			for _, conn := range conns {
				conn.Close()
			}
			h.Shutdown(b.Context())
			srv.Close()
		})
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func spent() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// wakeUps is how often goroutines began to run; the runtime looks at one in eight.
func wakeUps() (n uint64) {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	for _, count := range sample[0].Value.Float64Histogram().Counts {
		n += 8 * count
	}
	return n
}
