package typesense_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
	"github.com/souk-shop/souk/subgraphs/search/typesense/typesensetest"
)

// phones reads real products.
func phones(t *testing.T) []events.ProductSaved {
	t.Helper()
	f, err := os.Open("testdata/phones.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []events.ProductSaved
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var phone struct {
			Name, Description, Brand string
			Categories               []string
			Price                    decimal.Decimal
		}
		if err := json.Unmarshal(lines.Bytes(), &phone); err != nil {
			t.Fatal(err)
		}
		price, err := money.FromDecimal(phone.Price, "USD")
		if err != nil {
			t.Fatal(err)
		}
		p := events.ProductSaved{
			ProductID: id.New(id.Product), Version: 1, Status: "ACTIVE", SellerID: id.New(id.Seller), Slug: fmt.Sprint("phone-", len(all)),
			Title: phone.Name, Description: phone.Description, Brand: phone.Brand, CreatedAt: time.Unix(int64(len(all)), 0),
			Variants: []events.Variant{{ID: id.New(id.Variant), SKU: fmt.Sprintf("PH-%05d", len(all)), Price: price}},
		}
		for _, c := range phone.Categories {
			p.Categories = append(p.Categories, events.Category{ID: "cat_" + c, Slug: strings.ToLower(strings.ReplaceAll(c, " ", "-")), Name: c})
		}
		all = append(all, p)
	}
	return all
}

// Real titles, SKUs, and misspelt words of titles find their products.
func TestRelevance(t *testing.T) {
	t.Parallel()
	s := search.New(typesensetest.New(t).Store(t), func(events.Searched) {}, clock.System)
	all := phones(t)
	news := search.News{}
	for _, p := range all {
		news.Saved(p)
	}
	if err := s.Learn(t.Context(), news); err != nil {
		t.Fatal(err)
	}
	find := func(text string) []search.Card {
		t.Helper()
		found, err := s.Find(t.Context(), viewer.Viewer{}, search.Query{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return found.Nodes()
	}

	titles, skus := rate{}, rate{}
	for _, p := range all {
		found := find(p.Title)
		titles.note(len(found) > 0 && found[0].Title == p.Title, p.Title)
		found = find(p.Variants[0].SKU)
		skus.note(len(found) > 0 && found[0].ID == p.ProductID, p.Variants[0].SKU)
	}
	titles.atLeast(t, "exact titles at rank 1", 1)
	skus.atLeast(t, "exact SKUs at rank 1", 1)

	random := rand.New(rand.NewPCG(7, 7))
	misspelt := func(edits, letters int) (r rate) {
		for _, word := range distinctive(all, letters) {
			for range 3 {
				typed := typo(random, word, edits)
				hit := slices.ContainsFunc(find(typed), func(c search.Card) bool { return has(c.Title, word) })
				r.note(hit, word+" as "+typed)
			}
		}
		return r
	}
	misspelt(1, 5).atLeast(t, "one edit in words of 5 letters or more", 0.97)
	misspelt(2, 7).atLeast(t, "two edits in words of 7 letters or more", 0.95)
	misspelt(2, 6).atLeast(t, "two edits in words of 6 letters or more", 0.90)
}

// distinctive are the words that a few titles have.
func distinctive(all []events.ProductSaved, letters int) []string {
	in := map[string]int{}
	for _, p := range all {
		for word := range maps.Keys(wordsOf(p.Title)) {
			if len(word) >= letters && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" {
				in[word]++
			}
		}
	}
	maps.DeleteFunc(in, func(_ string, n int) bool { return n > len(all)/5 })
	return slices.Sorted(maps.Keys(in))
}

func wordsOf(title string) map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return strings.ContainsRune(" -/(),", r) }) {
		words[w] = true
	}
	return words
}

func has(title, word string) bool { return wordsOf(title)[word] }

// typo deletes, adds or replaces letters, at different places; the first letter is rarely the wrong one.
func typo(random *rand.Rand, word string, edits int) string {
	at := random.Perm(len(word) - 1)[:edits]
	slices.Sort(at)
	slices.Reverse(at)
	for _, i := range at {
		other := string('a' + rune(random.IntN(26)))
		switch i++; random.IntN(3) {
		case 0:
			word = word[:i] + word[i+1:]
		case 1:
			word = word[:i] + other + word[i:]
		default:
			word = word[:i] + other + word[i+1:]
		}
	}
	return word
}

type rate struct {
	hits, all int
	missed    []string
}

func (r *rate) note(hit bool, what string) {
	r.all++
	if hit {
		r.hits++
	} else {
		r.missed = append(r.missed, what)
	}
}

func (r rate) atLeast(t *testing.T, what string, least float64) {
	t.Helper()
	t.Logf("%s: %d of %d (%.1f %%)", what, r.hits, r.all, 100*float64(r.hits)/float64(r.all))
	if float64(r.hits) < least*float64(r.all) {
		t.Errorf("%s: missed %q", what, r.missed)
	}
}
