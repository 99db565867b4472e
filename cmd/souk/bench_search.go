package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/typesense/typesense-go/v4/typesense"
	"github.com/typesense/typesense-go/v4/typesense/api"

	clienttypesense "github.com/souk-shop/souk/clients/typesense"
	devtypesense "github.com/souk-shop/souk/internal/devstores/typesense"
)

const (
	searchProducts  = 100_000
	searchInOneLot  = 5_000
	searchWords     = 50_000
	searchEngineKey = "bench"
)

// timeSearch fills the embedded engine through the official client, and times one caller who asks for a word with a typo and the
// beginning of another, within a range of prices, with three facets. No two questions are the same.
func timeSearch(ctx context.Context, dir string, how time.Duration, progress io.Writer) (timings, error) {
	engine, err := devtypesense.Open(ctx, devtypesense.Config{Dir: filepath.Join(dir, "search"), APIKey: searchEngineKey, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return timings{}, err
	}
	defer engine.Close()
	client, err := clienttypesense.Open(ctx, engine.URL(), searchEngineKey)
	if err != nil {
		return timings{}, err
	}
	words := newVocabulary(searchWords)
	if err := fillSearch(ctx, client, words, progress); err != nil {
		return timings{}, err
	}
	hits := 0
	t, err := load(ctx, 1, how, func(ctx context.Context, _, _ int) error {
		found, err := client.Collection("products").Documents().Search(ctx, &api.SearchCollectionParams{
			Q: new(words.query()), QueryBy: new("title,description,brand"), FilterBy: new("price:[50..500]"), FacetBy: new("brand,categories,colour"),
		})
		if err != nil {
			return err
		}
		if found.Found == nil || found.FacetCounts == nil || len(*found.FacetCounts) != 3 {
			return fmt.Errorf("an answer without facets: %+v", found)
		}
		if *found.Found > 0 {
			hits++
		}
		return nil
	})
	if err == nil && hits < len(t.took)/2 {
		err = fmt.Errorf("only %d of %d searches found anything", hits, len(t.took))
	}
	return t, err
}

func fillSearch(ctx context.Context, client *typesense.Client, words *vocabulary, progress io.Writer) error {
	facet := func(name, kind string) api.Field { return api.Field{Name: name, Type: kind, Facet: new(true)} }
	_, err := client.Collections().Create(ctx, &api.CollectionSchema{Name: "products", DefaultSortingField: new("popularity"), Fields: []api.Field{
		{Name: "title", Type: "string"}, {Name: "description", Type: "string"}, facet("brand", "string"), facet("categories", "string[]"),
		facet("colour", "string"), facet("price", "float"), {Name: "popularity", Type: "int32"},
	}})
	if err != nil {
		return err
	}
	for from := 0; from < searchProducts; from += searchInOneLot {
		var lot bytes.Buffer
		lines := json.NewEncoder(&lot)
		for i := range searchInOneLot {
			if err := lines.Encode(words.product(from + i)); err != nil {
				return err
			}
		}
		said, err := client.Collection("products").Documents().ImportJsonl(ctx, &lot, &api.ImportDocumentsParams{Action: new(api.IndexAction("create"))})
		if err != nil {
			return err
		}
		outcome, err := io.ReadAll(said)
		said.Close()
		if err != nil {
			return err
		}
		if n := bytes.Count(outcome, []byte(`"success":true`)); n != searchInOneLot {
			return fmt.Errorf("%d of %d products were indexed: %.300s", n, searchInOneLot, outcome)
		}
		if done := from + searchInOneLot; done%(searchProducts/4) == 0 {
			fmt.Fprintf(progress, "bench: %d of %d products indexed\n", done, searchProducts)
		}
	}
	return nil
}

// vocabulary makes up words that can be said; a few are everywhere, most are rare. It is the same each time.
type vocabulary struct {
	chance *rand.Rand
	words  []string
	often  *rand.Zipf
}

func newVocabulary(n int) *vocabulary {
	v := &vocabulary{chance: rand.New(rand.NewPCG(7, 11))}
	const consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
	seen := map[string]bool{}
	for len(v.words) < n {
		var w []byte
		for range 2 + v.chance.IntN(3) {
			w = append(w, consonants[v.chance.IntN(len(consonants))], vowels[v.chance.IntN(len(vowels))])
			if v.chance.IntN(3) == 0 {
				w = append(w, consonants[v.chance.IntN(len(consonants))])
			}
		}
		if !seen[string(w)] {
			seen[string(w)] = true
			v.words = append(v.words, string(w))
		}
	}
	v.often = rand.NewZipf(v.chance, 1.1, 20, uint64(n-1))
	return v
}

func (v *vocabulary) word() string { return v.words[v.often.Uint64()] }

func (v *vocabulary) text(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = v.word()
	}
	return strings.Join(out, " ")
}

func (v *vocabulary) product(i int) map[string]any {
	return map[string]any{
		"id": fmt.Sprint(i), "title": v.text(6), "description": v.text(30), "brand": fmt.Sprintf("brand%d", v.chance.IntN(500)),
		"categories": []string{fmt.Sprintf("aisle%d", v.chance.IntN(50)), fmt.Sprintf("shelf%d", v.chance.IntN(100))},
		"colour":     fmt.Sprintf("colour%d", v.chance.IntN(12)), "price": float64(v.chance.IntN(100_000)) / 100, "popularity": v.chance.IntN(10_000),
	}
}

// query is a word with a typo, and the beginning of another.
func (v *vocabulary) query() string {
	first, last := []byte(v.word()), v.word()
	at := 1 + v.chance.IntN(len(first)-1)
	first[at] = 'a' + byte(v.chance.IntN(26))
	return string(first) + " " + last[:3]
}
