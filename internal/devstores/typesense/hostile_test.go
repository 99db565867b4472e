package typesense

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHostileInput: whatever is asked, the answer is a refusal or a result, and the server goes on.
func TestHostileInput(t *testing.T) {
	c := shop(t)
	deep := strings.Repeat("(", 5000)
	nested := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for _, q := range []string{
		deep, "rank:" + strings.Repeat("[", 3000), "place:(nan,nan,nan km)", "place:(1,2,3,4)", "rank:>-99999999999999999999",
		"price:>1e400", "price:<NaN", "brand:=*", "brand:=[`]", "brand:[,,,]", "attributes:=x", ":", "::", "&&", "name:=\x00", "id:=",
		strings.Repeat("rank:>1 && ", 20000) + "rank:>1", "name:" + strings.Repeat("a ", 5000), "sizes:[..]", "sizes:[1..]", "rank:[..5]",
	} {
		if a := c.search("shop", "q", "*", "filter_by", q[:min(len(q), 30000)]); a.status >= 500 || a.status == 0 {
			t.Errorf("filter %.40q: %d %s", q, a.status, a.body)
		}
	}
	for _, pairs := range [][]string{
		{"q", strings.Repeat("a", 20000)}, {"q", strings.Repeat("samsng galxy ", 1000)}, {"q", `"`}, {"q", `""`}, {"q", `-`}, {"q", `--`},
		{"q", `-"`}, {"q", "\xff\xfe"}, {"q", "a", "per_page", "99999999999999"}, {"q", "*", "page", "4294967295"},
		{"q", "*", "offset", "2147483647", "limit", "250"}, {"q", "a", "max_candidates", "2147483647"}, {"q", "*", "sort_by", "((("},
		{"q", "*", "sort_by", "_eval():desc"}, {"q", "*", "sort_by", "_eval([]):desc"}, {"q", "*", "sort_by", "_text_match(buckets: 0):desc"},
		{"q", "a", "sort_by", "_text_match(buckets: 99999999):desc"}, {"q", "*", "sort_by", "place():asc"}, {"q", "*", "sort_by", ":"},
		{"q", "*", "facet_by", "price("}, {"q", "*", "facet_by", "price(x:[,])"}, {"q", "*", "facet_by", "brand(sort_by:)"},
		{"q", "*", "facet_by", "brand", "max_facet_values", "0"}, {"q", "*", "facet_by", "brand", "facet_query", "brand:"},
		{"q", "*", "facet_by", "price", "facet_query", "price:1"}, {"q", "*", "pinned_hits", ":::"}, {"q", "*", "pinned_hits", "1:1,1:1,x:9"},
		{"q", "*", "hidden_hits", ",,,"}, {"q", "*", "group_by", "price,brand,tags,sizes"}, {"q", "samsung", "highlight_affix_num_tokens", "2147483647"},
		{"q", "samsung", "snippet_threshold", "0", "highlight_affix_num_tokens", "0"}, {"q", "a b c", "drop_tokens_mode", "both_sides:9"},
		{"q", "a", "num_typos", "9"}, {"q", "a", "prefix", ",,,"}, {"q", "a", "query_by", "name,,name"}, {"q", "a", "query_by_weights", "0"},
		{"q", "a", "query_by_weights", "2147483647"}, {"q", "a", "infix", "always"}, {"q", "*", "include_fields", "*"}, {"q", "*", "include_fields", "$x(*)"},
	} {
		if a := c.search("shop", append([]string{"query_by", "name"}, pairs...)...); a.status >= 500 || a.status == 0 {
			t.Errorf("%.60q: %d %s", pairs, a.status, a.body)
		}
	}
	for _, body := range []string{
		nested, strings.Repeat("[", 20000), `{"name":` + nested + `,"rank":1}`, `{"name":"x","rank":1,"attributes":` + nested + `}`,
		`{"name":"x","rank":1e999}`, `{"name":"x","rank":-0}`, `{"name":"x","rank":1,"price":1e39}`, `{"":1,"name":"x","rank":1}`, `null`, `"x"`,
		`{"name":"\ud800","rank":1}`, `{"name":"x","rank":1,"attributes":{".*":1,"":{"":1},"a.b":2}}`, `{"name":"x","rank":1,"offers":[[],[{}],{"a":[{"b":1}]}]}`,
		`{"name":"x","rank":1,"place":[1,"x"]}`, `{"name":"x","rank":1,"place":[null,null]}`, `{"id":"` + strings.Repeat("i", 10000) + `","name":"x","rank":1}`,
	} {
		for _, path := range []string{"/collections/shop/documents", "/collections/shop/documents/import", "/collections", "/keys", "/multi_search", "/presets/x", "/synonym_sets/x"} {
			method := "POST"
			if strings.HasSuffix(path, "/x") {
				method = "PUT"
			}
			if status, answer := c.do(method, path, body); status >= 500 || status == 0 {
				t.Errorf("%s %.60q: %d %s", path, body, status, answer)
			}
		}
	}
	for _, path := range []string{"/collections/%00", "/collections/shop/documents/%2F..%2F", "/keys/abc", "/aliases/%20", "//", "/collections/shop/documents/search"} {
		if status, answer := c.do("GET", path, ""); status >= 500 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	if got := c.search("shop", "q", "iphone", "query_by", "name").ids(); got != "3" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	c := shop(t)
	huge := `{"id":"h","rank":1,"name":"` + strings.Repeat("x", maxBody) + `"}`
	for _, path := range []string{"/collections/shop/documents", "/collections/shop/documents/import"} {
		if status, _ := c.do("POST", path, huge); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestSearchesDuringImports runs searches, imports, schema changes and compaction at once; the race detector watches.
func TestSearchesDuringImports(t *testing.T) {
	c := shop(t)
	const rounds = 30
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range rounds {
				var lines []string
				for j := range 20 {
					lines = append(lines, fmt.Sprintf(`{"id":"w%d-%d","name":"Samsung part %d of %d","rank":%d,"brand":"b%d","attributes":{"k%d":%d}}`, w, j, i, j, i%50, j%7, w, i))
				}
				c.load("shop", lines...)
				if i%5 == 0 {
					c.do("DELETE", "/collections/shop/documents?filter_by=brand:b"+fmt.Sprint(w), "")
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				a := c.search("shop", "q", "samsng par", "query_by", "name,brand", "facet_by", "brand,price", "filter_by", "rank:>=0", "sort_by", "name:asc")
				if a.status != http.StatusOK || a.Found < len(a.Hits) {
					t.Errorf("%d %s", a.status, a.body)
				}
				c.search("shop", "q", "*", "group_by", "brand")
			}
		})
	}
	wg.Go(func() {
		for i := range 5 {
			c.do("PATCH", "/collections/shop", fmt.Sprintf(`{"fields":[{"name":"extra%d","type":"string","optional":true}]}`, i))
			c.do("PUT", "/aliases/x", `{"collection_name":"shop"}`)
		}
	})
	wg.Wait()
	if got := c.search("shop", "q", "iphone", "query_by", "name").ids(); got != "3" {
		t.Errorf("afterwards: %q", got)
	}
}

// TestSearchDoesNotWaitForWriters holds the lock that an import holds while it logs and syncs.
func TestSearchDoesNotWaitForWriters(t *testing.T) {
	s := open(t, t.TempDir())
	c := calls(t, s)
	c.ok("POST", "/collections", itemsSchema)
	c.load("items", `{"id":"a","name":"Apple","n":1}`)
	col, _ := s.catalog.now.Load().collection("items")
	col.writing.Lock()
	defer col.writing.Unlock()
	if got := c.search("items", "q", "apple", "query_by", "name").ids(); got != "a" {
		t.Errorf("found %q", got)
	}
}

// TestOneSyncForMany: a commit covers everything appended before it, so that waiting writers share one sync.
func TestOneSyncForMany(t *testing.T) {
	l, err := createLog(t.TempDir()+"/x.log", record{opDelete, []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var first, last uint64
	for i := range 10 {
		if last, err = l.append(opDelete, []byte("b")); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = last
		}
	}
	if err := l.commit(first); err != nil {
		t.Fatal(err)
	}
	if l.synced != last {
		t.Errorf("synced up to %d of %d", l.synced, last)
	}
}

// TestCloseDuringWrites: what was acknowledged before Close is there after it.
func TestCloseDuringWrites(t *testing.T) {
	dir := t.TempDir()
	s := openOnce(t, dir)
	c := calls(t, s)
	c.ok("POST", "/collections", itemsSchema)
	var (
		mu   sync.Mutex
		acks []string
		wg   sync.WaitGroup
	)
	some := make(chan struct{}, 100)
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", w, i)
				req, _ := http.NewRequest("POST", c.url+"/collections/items/documents", strings.NewReader(`{"id":"`+id+`","name":"x","n":1}`))
				req.Header.Set("X-Typesense-Api-Key", testKey)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					return
				}
				res.Body.Close()
				if res.StatusCode == http.StatusCreated {
					mu.Lock()
					acks = append(acks, id)
					mu.Unlock()
				}
				select {
				case some <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 40 {
		<-some
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	after := calls(t, open(t, dir))
	for _, id := range acks {
		if status, _ := after.do("GET", "/collections/items/documents/"+id, ""); status != http.StatusOK {
			t.Errorf("%s was acknowledged; now: %d", id, status)
		}
	}
}

func TestSearchesAreCutOff(t *testing.T) {
	c, _ := filled(t, 100)
	m := newMatcher(&request{}, c.schema, c.index, nil, make([]uint64, 100))
	m.deadline = time.Now().Add(-time.Second)
	m.fuzzy([]queryWord{{text: "anything"}}, nil)
	if !m.cutOff {
		t.Error("a search went on after its time")
	}
}

func FuzzFilter(f *testing.F) {
	s, refusal := newSchema([]byte(shopSchema), 0)
	if refusal != nil {
		f.Fatal(refusal)
	}
	x := newIndex()
	x.adopt(s)
	doc, _ := readObject([]byte(`{"id":"1","name":"a b","rank":1,"price":2.5,"tags":["x y","z"],"sale":true,"place":[1,2]}`))
	values, _ := s.read(doc, rejectDirty)
	x.put(s, s.change("1", []byte("{}"), values, nil))
	for _, seed := range []string{"rank:>1", "(tags:=[`a,b`,c*] || price:[1..2]) && sale:!=true", "place:(1,2,3 km)", "name:=a b*", "id:!=[1,2]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if flt, err := parseFilter(s, text); err == nil && flt != nil {
			flt(x)
		}
	})
}

func FuzzSearch(f *testing.F) {
	s, refusal := newSchema([]byte(shopSchema), 0)
	if refusal != nil {
		f.Fatal(refusal)
	}
	c := &collection{schema: s, index: newIndex()}
	c.index.adopt(s)
	for i, name := range []string{"Samsung Galaxy", "Café Crème", "over-ear phones"} {
		doc, _ := readObject(fmt.Appendf(nil, `{"id":"%d","name":%q,"rank":%d,"tags":["a b","c"]}`, i, name, i))
		values, _ := s.read(doc, rejectDirty)
		c.index.put(s, s.change(fmt.Sprint(i), writeObject(doc), values, nil))
	}
	f.Add("q=samsng+gal&query_by=name,tags&sort_by=rank:desc&facet_by=tags")
	f.Add(`q="over ear" -x&query_by=name&group_by=tags&highlight_affix_num_tokens=0&snippet_threshold=0`)
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if found, err := c.search(paramsOf(q), &manifest{}, false); err == nil {
			writeObject(found.answer())
		}
	})
}
