package gateway_test

import (
	"crypto/ed25519"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/gateway/rate"
	"github.com/souk-shop/souk/gateway/session"
	"github.com/souk-shop/souk/internal/clock"
)

// BenchmarkTurnedAway is what the gateway does for a request that has nothing left to spend, without what net/http does.
func BenchmarkTurnedAway(b *testing.B) {
	sdl, err := os.ReadFile("testdata/corner.graphql")
	if err != nil {
		b.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	claims := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": "souk", "sub": "acc_ann", "exp": time.Now().Add(time.Hour).Unix()})
	claims.Header["kid"] = "k1"
	token, err := claims.SignedString(private)
	if err != nil {
		b.Fatal(err)
	}
	one, plenty := rate.Budget{PerSecond: 1, Burst: 1}, rate.Budget{PerSecond: 1e6, Burst: 1e9}
	for name, c := range map[string]rate.Config{"address": {Account: plenty, Address: one}, "account": {Account: one, Address: plenty}} {
		b.Run(name, func(b *testing.B) {
			c.Store = rate.NewMemory(clock.Hold(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)))
			limiter, err := rate.New(c)
			if err != nil {
				b.Fatal(err)
			}
			g, err := gateway.New(b.Context(), gateway.Config{SupergraphSDL: string(sdl), Keys: session.Keys{"k1": public}, Rate: limiter, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			head := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/graphql-response+json"}, "Authorization": {"Bearer " + token}}
			handler, last := g.Handler(), 0
			serve := func() {
				r, _ := http.NewRequest("POST", gateway.Path, strings.NewReader(ask))
				r.RemoteAddr, r.Header = "192.0.2.1:9999", head
				w := &nowhere{header: http.Header{}}
				handler.ServeHTTP(w, r)
				last = w.status
			}
			serve()
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
			if last != http.StatusTooManyRequests {
				b.Fatal(last)
			}
		})
	}
}

// nowhere takes an answer as a connection does.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header              { return w.header }
func (w *nowhere) WriteHeader(status int)           { w.status = status }
func (w *nowhere) Write(p []byte) (int, error)      { return io.Discard.Write(p) }
func (w *nowhere) FlushError() error                { return nil }
func (w *nowhere) SetReadDeadline(time.Time) error  { return nil }
func (w *nowhere) SetWriteDeadline(time.Time) error { return nil }
