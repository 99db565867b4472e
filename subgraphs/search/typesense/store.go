// Package typesense keeps the search index in Typesense.
//
// A product is one document. Its field "said" holds what the index was told of the product, each piece under its version; the
// fields beside it, which are searched, are derived from that. Whoever writes in whatever order, the document ends up as the
// highest versions have it; see Tell.
//
// A change of the fields is a new Version, and so another collection: it is filled from "said" of the one before.
package typesense

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/typesense/typesense-go/v4/typesense"
	"github.com/typesense/typesense-go/v4/typesense/api"

	"github.com/souk-shop/souk/subgraphs/search"
)

const (
	// Alias names the collection that was filled last.
	Alias = "souk_products"
	// Version of the fields; it is part of the collection's name.
	Version = 1

	patience = 3 * time.Second // for a search
)

// Store is the index of products.
type Store struct {
	client     *typesense.Client
	log        *slog.Logger
	collection string
	place      string
	mark       marker
}

var _ search.Store = (*Store)(nil)

// NewStore makes sure that the collection is there, filled with what one of an earlier version was told, and that the alias
// names it. Any number of processes may do so at once. Each keeps to the collection of its own version: while a new one
// is rolled out, the old ones search what they know.
func NewStore(ctx context.Context, client *typesense.Client, alias string, log *slog.Logger) (*Store, error) {
	s := &Store{client: client, log: log, collection: fmt.Sprintf("%s_%d", alias, Version), mark: newMarker()}
	if err := s.open(ctx, alias); err != nil {
		return nil, fmt.Errorf("search index %s: %w", s.collection, err)
	}
	return s, nil
}

// Place names this very collection: one that was lost and made anew has another. A consumer of events goes by it, so that
// a fresh collection hears from the beginning of the stream.
func (s *Store) Place() string { return s.place }

func (s *Store) open(ctx context.Context, alias string) error {
	_, err := s.client.Collections().Create(ctx, schema(s.collection))
	if err != nil && status(err) != http.StatusConflict {
		return err
	}
	made, err := s.client.Collection(s.collection).Retrieve(ctx)
	if err != nil {
		return err
	}
	s.place = s.collection
	if made.CreatedAt != nil {
		s.place += fmt.Sprintf("_%d", *made.CreatedAt)
	}
	before, err := s.client.Alias(alias).Retrieve(ctx)
	switch {
	case status(err) == http.StatusNotFound:
	case err != nil:
		return err
	case before.CollectionName == s.collection:
		return nil
	default:
		if err := s.fill(ctx, before.CollectionName); err != nil {
			return fmt.Errorf("fill from %s: %w", before.CollectionName, err)
		}
	}
	_, err = s.client.Aliases().Upsert(ctx, alias, &api.CollectionAliasSchema{CollectionName: s.collection})
	return err
}

// schema declares what is searched, filtered, sorted and counted. Everything is optional: a product of which only the
// stock is known yet has none of it. What is not declared is stored only.
func schema(name string) *api.CollectionSchema {
	field := func(name, kind string) api.Field {
		return api.Field{Name: name, Type: kind, Optional: ref(true)}
	}
	facet := func(name, kind string) api.Field {
		f := field(name, kind)
		f.Facet = ref(true)
		return f
	}
	return &api.CollectionSchema{
		Name:            name,
		TokenSeparators: &[]string{"-", "/", "(", ")", ",", "_", "|", ":"},
		Fields: []api.Field{
			field("live", "bool"), // whether customers find it
			field("title", "string"), field("skus", "string[]"), facet("brand", "string"), field("category_names", "string[]"),
			field("attribute_texts", "string[]"), field("variants", "string[]"), field("description", "string"),
			field("facts", "string[]"), field("currency", "string"), field("prices", "int64[]"),
			field("price_min", "int64"), field("price_max", "int64"), field("created_at", "int64"), field("rating", "int32"),
			field("rating_count", "int32"), field("ord", "int64"),
			facet("in_stock", "bool"), facet("stars", "int32"), facet("price_bands", "string[]"), facet("categories", "string[]"),
			facet("attributes", "string[]"),
		},
	}
}

// status is the HTTP status the engine answered with, 0 if it did not.
func status(err error) int {
	var answered *typesense.HTTPError
	if errors.As(err, &answered) {
		return answered.Status
	}
	return 0
}

// fail tells an engine that is down, which the caller may know, from a request of ours that it refused.
func (s *Store) fail(ctx context.Context, what string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	switch code := status(err); code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return fmt.Errorf("search engine: %s: %w", what, err)
	}
	s.log.WarnContext(ctx, "the search engine does not answer", "call", what, "error", err)
	return search.ErrDown
}

func ref[T any](v T) *T { return &v }

// each and commas spell the lists of Typesense's parameters.
func each[T any](items []T, spell func(T) string) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = spell(item)
	}
	return out
}

func commas(items []string) *string { return ref(strings.Join(items, ",")) }
