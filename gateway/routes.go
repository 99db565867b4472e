package gateway

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/souk-shop/souk/gateway/playground"
)

// Path is where the graph is served, over every transport.
const Path = "/graphql"

// Handler serves what the world may see: the graph, /healthz, /readyz, the configured routes and, in development, the playground.
// Serve it with a ReadHeaderTimeout and without a WriteTimeout: bodies and answers have deadlines of their own, streams must last.
func (g *Gateway) Handler() http.Handler { return g.public }

func (g *Gateway) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle(Path, g.door(g.watch.traced(g.explaining(g.transport))))
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", g.health.brief)
	for pattern, handler := range g.config.Routes {
		mux.Handle(pattern, handler)
	}
	if g.config.Development {
		page, err := playground.Handler(playground.Config{Endpoint: Path, Examples: g.config.Examples, Notice: g.config.Notice})
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /{$}", page)
		mux.Handle("GET /playground/", page)
	}
	return mux, nil
}

// Private serves what only operators may see: /metrics, /healthz, /readyz with the state of each part, and /debug/pprof/.
func (g *Gateway) Private() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.config.Metrics, promhttp.HandlerOpts{Registry: g.config.Metrics}))
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", g.health.detailed)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
