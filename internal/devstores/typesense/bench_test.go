package typesense

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const benchSchema = `{"name":"products","default_sorting_field":"popularity","fields":[
	{"name":"title","type":"string"},{"name":"description","type":"string"},
	{"name":"brand","type":"string","facet":true},{"name":"categories","type":"string[]","facet":true},
	{"name":"price","type":"float","facet":true},{"name":"popularity","type":"int32"},{"name":"color","type":"string","facet":true}]}`

// vocabulary makes up words that can be said; a few are everywhere, most are rare.
type vocabulary struct {
	r     *rand.Rand
	words []string
	zipf  *rand.Zipf
}

func newVocabulary(n int) *vocabulary {
	v := &vocabulary{r: rand.New(rand.NewPCG(7, 11))}
	const consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
	seen := map[string]bool{}
	for len(v.words) < n {
		var w []byte
		for range 2 + v.r.IntN(3) {
			w = append(w, consonants[v.r.IntN(len(consonants))], vowels[v.r.IntN(len(vowels))])
			if v.r.IntN(3) == 0 {
				w = append(w, consonants[v.r.IntN(len(consonants))])
			}
		}
		if !seen[string(w)] {
			seen[string(w)] = true
			v.words = append(v.words, string(w))
		}
	}
	v.zipf = rand.NewZipf(v.r, 1.1, 20, uint64(n-1))
	return v
}

func (v *vocabulary) word() string { return v.words[v.zipf.Uint64()] }

func (v *vocabulary) text(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = v.word()
	}
	return strings.Join(out, " ")
}

func (v *vocabulary) product(i int) map[string]any {
	return map[string]any{
		"id": fmt.Sprint(i), "title": v.text(6), "description": v.text(30),
		"brand": fmt.Sprintf("brand%d", v.r.IntN(500)), "categories": []any{fmt.Sprintf("c%d", v.r.IntN(50)), fmt.Sprintf("s%d", v.r.IntN(100))},
		"price": float64(v.r.IntN(100000)) / 100, "popularity": v.r.IntN(10000), "color": fmt.Sprintf("color%d", v.r.IntN(12)),
	}
}

// query is a word with a typo, and the beginning of another.
func (v *vocabulary) query() string {
	first, last := []byte(v.word()), v.word()
	at := 1 + v.r.IntN(len(first)-1)
	first[at] = 'a' + byte(v.r.IntN(26))
	return string(first) + " " + last[:3]
}

// filled returns a collection of n products in memory and on disk.
func filled(b testing.TB, n int) (*collection, *vocabulary) {
	b.Helper()
	s, refusal := newSchema([]byte(benchSchema), 0)
	if refusal != nil {
		b.Fatal(refusal)
	}
	c, err := createCollection(b.TempDir()+"/bench.log", s)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.log.close() })
	v := newVocabulary(50_000)
	var last written
	for i := range n {
		doc, err := readObject(writeObject(v.product(i)))
		if err != nil {
			b.Fatal(err)
		}
		if last, refusal = c.put(actCreate, doc, rejectDirty); refusal != nil {
			b.Fatal(refusal)
		}
	}
	if refusal := c.commit(last.ticket); refusal != nil {
		b.Fatal(refusal)
	}
	return c, v
}

// BenchmarkSearch asks for a typo, a prefix, a price filter and three facets of 100,000 products.
func BenchmarkSearch(b *testing.B) {
	c, v := filled(b, 100_000)
	m := &manifest{}
	times := make([]time.Duration, 0, b.N)
	hits := 0
	b.ResetTimer()
	for b.Loop() {
		p := paramsOf(url.Values{
			"q": {v.query()}, "query_by": {"title,description,brand"}, "filter_by": {"price:[50..500]"},
			"facet_by": {"brand,categories,color"},
		})
		began := time.Now()
		f, err := c.search(p, m, false)
		if err != nil {
			b.Fatal(err)
		}
		f.answer()
		times = append(times, time.Since(began))
		if f.count > 0 {
			hits++
		}
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(hits)/float64(len(times)), "hit-rate")
}

// BenchmarkIndex writes products durably, a thousand to a commit.
func BenchmarkIndex(b *testing.B) {
	c, v := filled(b, 0)
	var last written
	var refusal *apiError
	i := 0
	for b.Loop() {
		doc, err := readObject(writeObject(v.product(i)))
		if err != nil {
			b.Fatal(err)
		}
		if last, refusal = c.put(actUpsert, doc, rejectDirty); refusal != nil {
			b.Fatal(refusal)
		}
		if i++; i%1000 == 0 {
			if refusal := c.commit(last.ticket); refusal != nil {
				b.Fatal(refusal)
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}
