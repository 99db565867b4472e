package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/demo"
	"github.com/souk-shop/souk/frontends"
)

// demo fills an empty shop with goods, stock and accounts to try; a shop that has them is left as it is.
func (e *env) demo(ctx context.Context, base, dir string, progress io.Writer) error {
	goods, err := demo.Load()
	if err != nil {
		return err
	}
	graph, mark := shop.New(base+"/graphql"), filepath.Join(dir, "demo.json")
	if ids := readMark(mark, goods.Version); ids != nil {
		if there, err := stillThere(ctx, graph, ids); err != nil || there {
			e.demoIDs.Store(ids)
			return err
		}
	}
	began := time.Now()
	s := &seeding{Shop: goods, env: e, graph: graph, as: map[string]*shop.Client{}, ids: map[string]string{}}
	if err := s.run(ctx); err != nil {
		return err
	}
	e.demoIDs.Store(&s.ids)
	fmt.Fprintf(progress, "demo goods: %d products, %d variants, %d reviews in %.1f s\n",
		len(s.Products), s.variants, s.reviews, time.Since(began).Seconds())
	return writeMark(mark, goods.Version, s.ids)
}

// A mark says which demo goods a shop has, and under which ids.
type mark struct {
	Version string            `json:"version"`
	IDs     map[string]string `json:"ids"`
}

// readMark returns the ids of the demo goods that were brought, nil when these were not.
func readMark(file, version string) *map[string]string {
	var m mark
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &m) != nil || m.Version != version {
		return nil
	}
	return &m.IDs
}

func writeMark(file, version string, ids map[string]string) error {
	text, err := json.MarshalIndent(mark{version, ids}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// stillThere tells whether a product of the mark is in the shop: its folder may have been emptied in part.
func stillThere(ctx context.Context, graph *shop.Client, ids *map[string]string) (bool, error) {
	answer, err := shop.Do[struct{ Product *struct{ ID string } }](ctx, graph,
		frontends.Operation("web/ProductGlance"), map[string]any{"id": (*ids)["product:LAMP-HERON"]})
	return answer.Product != nil, err
}

const (
	customer = "customer@souk.test"
	seller   = "seller@souk.test"
	staff    = "staff@souk.test"
)

// seeding brings the demo goods into a shop. Whatever is there already stays, so it may be cut short and run again.
type seeding struct {
	*demo.Shop
	env   *env
	graph *shop.Client

	mu       sync.Mutex
	as       map[string]*shop.Client // by e-mail address
	ids      map[string]string       // of what the examples name, such as "variant:LAMP-HERON-BRASS"
	variants int
	reviews  int
}

func (s *seeding) run(ctx context.Context) error {
	if err := s.accounts(ctx); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	if err := atOnce(ctx, s.warehouses, s.addresses, s.paymentMethods, s.goods); err != nil {
		return err
	}
	return atOnce(ctx, s.pictures, s.findable, func(ctx context.Context) error {
		if err := s.stock(ctx); err != nil {
			return fmt.Errorf("stock: %w", err)
		}
		if err := atOnce(ctx, s.purchases, s.guestCart); err != nil {
			return err
		}
		return s.claimed(ctx)
	})
}

func atOnce(ctx context.Context, steps ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, step := range steps {
		g.Go(func() error { return step(ctx) })
	}
	return g.Wait()
}

// each does a step for every item, a few at once.
func each[T any](ctx context.Context, items []T, step func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, item := range items {
		g.Go(func() error { return step(ctx, item) })
	}
	return g.Wait()
}

// name notes an id for the examples.
func (s *seeding) name(name, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[name] = id
}

func (s *seeding) id(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[name]
}

// who returns a client that is signed in.
func (s *seeding) who(email string) *shop.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.as[email]
}

type values = map[string]any

// mutate sends a mutation with one field and returns what is in its payload, or how it was refused.
func mutate[T any](ctx context.Context, c *shop.Client, operation string, variables values) (payload T, err error) {
	if payload, err = mutateText[T](ctx, c, frontends.Operation(operation), variables); err != nil {
		err = fmt.Errorf("%s: %w", operation, err)
	}
	return payload, err
}

// mutateText is the same with the operation's text.
func mutateText[T any](ctx context.Context, c *shop.Client, operation string, variables values) (payload T, err error) {
	answer, err := shop.Do[map[string]json.RawMessage](ctx, c, operation, variables)
	if err != nil {
		return payload, err
	}
	for _, field := range answer {
		var refused struct{ UserErrors shop.UserErrors }
		if err := errors.Join(json.Unmarshal(field, &refused), json.Unmarshal(field, &payload)); err != nil {
			return payload, err
		}
		if err := refused.UserErrors.Err(); err != nil {
			return payload, err
		}
	}
	return payload, nil
}

// within asks until the answer is yes.
func within(ctx context.Context, limit time.Duration, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		yes, err := ask(ctx)
		if yes || err != nil {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}
