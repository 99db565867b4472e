package redis_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/internal/clock"
)

func TestABadURLIsSaidWithoutItsPassword(t *testing.T) {
	for _, url := range []string{"http://:hunter2@host", "redis://:hunter2@host/zero", ":hunter2"} {
		if _, err := redis.Open(url, redis.Patience, clock.System, slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
