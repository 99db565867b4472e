// Package typesense opens Typesense with its own client.
package typesense

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sony/gobreaker"
	"github.com/typesense/typesense-go/v4/typesense"

	"github.com/souk-shop/souk/internal/telemetry"
)

const (
	dialTimeout     = 3 * time.Second
	longest         = time.Minute // an import of many documents; searches bring shorter deadlines
	mostConnections = 64
)

// Open returns a client for a server that answered a ping.
func Open(ctx context.Context, serverURL, key string) (*typesense.Client, error) {
	at, err := url.Parse(serverURL)
	if err != nil {
		return nil, fmt.Errorf("typesense: %w", err)
	}
	if (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" {
		return nil, fmt.Errorf("typesense: %q is not of the form http://host:port", at.Redacted())
	}
	if key == "" {
		return nil, errors.New("typesense: there is no key")
	}
	client := typesense.NewClient(
		typesense.WithServer(at.String()),
		typesense.WithAPIKey(key),
		typesense.WithCustomHTTPClient(httpClient()),
		// The client's own breaker counts callers who hung up as failures and then stays open for a minute.
		typesense.WithCircuitBreakerReadyToTrip(func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= 50 }),
		typesense.WithCircuitBreakerTimeout(2*time.Second),
	)
	if err := Ping(ctx, client); err != nil {
		return nil, err
	}
	return client, nil
}

// httpClient keeps enough connections for the pages of results in flight; the default keeps two.
func httpClient() *http.Client {
	return &http.Client{
		Timeout: longest,
		Transport: telemetry.Transport(&http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			MaxIdleConns:        mostConnections,
			MaxIdleConnsPerHost: mostConnections,
			IdleConnTimeout:     90 * time.Second,
			TLSHandshakeTimeout: dialTimeout,
		}, func(r *http.Request) string { return "typesense " + r.Method }),
	}
}

// Ping asks the server whether it is well.
func Ping(ctx context.Context, client *typesense.Client) error {
	well, err := client.Health(ctx, dialTimeout)
	if err != nil {
		return fmt.Errorf("typesense: %w", err)
	}
	if !well {
		return errors.New("typesense: the server says it is not well")
	}
	return nil
}
