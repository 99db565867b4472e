package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/telemetry"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/altcha"
)

const (
	challengeOf    = `query ($id: ID!) { flashSale(id: $id) { challenge { algorithm challenge maxNumber salt signature } } }`
	ticketOf       = `query ($id: ID!) { flashSale(id: $id) { myTicket { status admissionToken } } }`
	landingPage    = `query Landing($id: ID!) { flashSale(id: $id) { id title startsAt endsAt limitPerAccount seller { name } offers { quantity price { amount currencyCode } variant { title product { title slug description media { url alt } } } } } }`
	countsNow      = `query Live($id: ID!) { flashSale(id: $id) { live { status remaining held sold seq } } }`
	withOwnBooking = `query Mine($id: ID!) { flashSale(id: $id) { title myBookings { id } } }`
)

// queued puts units of a variant on sale behind a waiting room, from now for an hour.
func (s *testShop) queued(variant string, units int) string {
	s.t.Helper()
	got := s.seller.do(flashSaleSave, vars{"i": map[string]any{
		"title": "Queued Sale", "admission": "FIFO", "challengeDifficulty": 1_000, "offers": []map[string]any{{"variantId": variant, "price": usd("9.90"), "quantity": units}},
		"startsAt": time.Now().UTC(), "endsAt": time.Now().UTC().Add(time.Hour), "idempotencyKey": id.New(id.Event),
	}})
	return text(got.at("flashSaleSave.flashSale.id"))
}

// solve does the work that the sale asks of the caller.
func (c client) solve(sale string) string {
	c.t.Helper()
	set := c.do(challengeOf, vars{"id": sale})
	at := func(name string) string { return text(set.at("flashSale.challenge." + name)) }
	payload, err := altcha.Solve(c.t.Context(), flashsale.Challenge{
		Algorithm: at("algorithm"), Challenge: at("challenge"), Salt: at("salt"), Signature: at("signature"), MaxNumber: int64(number(set.at("flashSale.challenge.maxNumber"))),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return payload
}

// admitted solves, joins and waits until it is the caller's turn.
func (c client) admitted(sale string) (token string) {
	c.t.Helper()
	c.do(flashSaleJoin, vars{"i": map[string]any{"saleId": sale, "solution": c.solve(sale)}})
	got := c.until(ticketOf, vars{"id": sale}, func(a answer) bool { return text(a.at("flashSale.myTicket.status")) == "ADMITTED" })
	return text(got.at("flashSale.myTicket.admissionToken"))
}

// fetches is how often the gateway has asked a subgraph.
func (s *testShop) fetches(subgraph string) int {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0.0
	for _, f := range families {
		if f.GetName() != "souk_gateway_subgraph_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "subgraph" && (l.GetValue() == subgraph || subgraph == "") {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return int(n)
}

// from sends an operation from an address, and says what came of it: the code of the refusal, or "".
func (c client) from(ctx context.Context, address, query string, v vars) (code string, header http.Header, err error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": v})
	if err != nil {
		return "", nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/graphql", bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	req.Header.Set("X-Forwarded-For", address)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	var a struct {
		Data   map[string]struct{ UserErrors []struct{ Code string } }
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return "", nil, fmt.Errorf("%s: %w", res.Status, err)
	}
	if res.StatusCode >= 500 {
		return "", nil, fmt.Errorf("%s", res.Status)
	}
	for _, e := range a.Errors {
		return e.Extensions.Code, res.Header, nil
	}
	for _, payload := range a.Data {
		for _, e := range payload.UserErrors {
			return e.Code, res.Header, nil
		}
	}
	return "", res.Header, nil
}

// A script asks as fast as it can: without a solved challenge, and with one. It gets refusals with a type and nothing else, after eight
// wrong challenges without any subgraph being asked; meanwhile everybody else is served, also who was wrong once.
func TestS102S110ScriptsGetNothingExtra(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"SOUK_RATE_ACCOUNT": "1/600", "SOUK_RATE_IP": "10/100000", "SOUK_TRUSTED_PROXIES": "1"})
	const units = 10
	sale := s.queued(s.sell("Wanted Lamp", "19.90", 1, units).variants[0], units)
	const evil = "203.0.113.9"
	join := func(payload string) vars {
		return vars{"i": map[string]any{"saleId": sale, "solution": payload}}
	}

	// Alone: what is asked of the subgraph is what was paid for, and not one request more.
	script := s.register()
	borrowed := s.register().solve(sale)
	solutions := []string{"", "eyJ9", borrowed}
	before, got := s.fetches(""), map[string]int{}
	for i := range 500 {
		code, header, err := script.from(t.Context(), evil, flashSaleJoin, join(solutions[i%len(solutions)]))
		if err != nil {
			t.Fatal(err)
		}
		if got[code]++; code == "THROTTLED" && header.Get("Retry-After") == "" {
			t.Fatal("it is not told when to come back")
		}
	}
	if asked := s.fetches("") - before; asked > 8 || got["CHALLENGE_FAILED"] != asked || got["CHALLENGE_FAILED"]+got["THROTTLED"] != 500 {
		t.Errorf("%v, and %d fetches", got, asked)
	}

	// Beside buyers: scripts with and without work done flood the door until the last buyer has booked.
	worker := s.register()
	token := worker.admitted(sale)
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var mu sync.Mutex
	refused := map[string]int{}
	for i := range 4 {
		flood.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				var code string
				var err error
				if i%2 == 0 {
					code, _, err = script.from(ctx, evil, flashSaleJoin, join(""))
				} else { // one booking may come of it, as for anybody
					code, _, err = worker.from(ctx, evil, flashSaleBook, vars{"i": map[string]any{"saleId": sale, "admissionToken": token, "idempotencyKey": id.New(id.Event)}})
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("the script: %v", err)
					return
				}
				mu.Lock()
				refused[code]++
				mu.Unlock()
			}
		})
	}
	var buyers sync.WaitGroup
	for range units - 1 {
		buyers.Go(func() {
			b := s.register()
			if code, _, err := b.from(t.Context(), evil, flashSaleJoin, join(borrowed)); code != "CHALLENGE_FAILED" || err != nil {
				t.Errorf("a buyer's mistake: %s %v", code, err)
			}
			got := b.do(flashSaleBook, vars{"i": map[string]any{"saleId": sale, "admissionToken": b.admitted(sale), "idempotencyKey": id.New(id.Event)}})
			if kind := text(got.at("flashSaleBook.result.kind")); kind != "FlashSaleBooking" {
				t.Errorf("a buyer got %s", kind)
			}
		})
	}
	buyers.Wait()
	for { // the flood has come to the end of its budget too, if it has not been there long ago
		mu.Lock()
		enough := refused["THROTTLED"] > 100
		mu.Unlock()
		if enough {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	flood.Wait()
	for code := range refused {
		if code != "" && code != "THROTTLED" && code != "CHALLENGE_FAILED" && code != "NOT_ADMITTED" {
			t.Errorf("a refusal without a type of ours: %s", code)
		}
	}
	live := s.guest().do(countsNow, vars{"id": sale})
	if held := number(live.at("flashSale.live.held")); held < units-1 || held > units { // each buyer's one, and one of the script's at most
		t.Errorf("%v", live.data)
	}
}

// get asks for a document by GET: its text, or "id:" and its name.
func (s *testShop) get(query, sale string, headers ...string) (*http.Response, []byte) {
	s.t.Helper()
	v, err := json.Marshal(vars{"id": sale})
	if err != nil {
		s.t.Fatal(err)
	}
	parameters := url.Values{"query": {query}, "variables": {string(v)}}
	if name, ok := strings.CutPrefix(query, "id:"); ok {
		parameters = url.Values{"documentId": {name}, "variables": {string(v)}}
	}
	at := s.base + "/graphql?" + parameters.Encode()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, body
}

// The static part of a sale may be kept by a CDN; its counts, and what is somebody's own, may not. While the sale is booked empty,
// the landing page costs hardly a fetch.
func TestS127S136TheLandingPageIsKept(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"SOUK_DOCUMENTS": manifest(t, map[string]string{"landing": landingPage})})
	const units = 8
	sale := s.flashSale(s.sell("Landing Lamp", "19.90", 1, units).variants[0], "9.90", units)

	res, page := s.get("id:landing", sale) // a persisted document, by GET
	tag := res.Header.Get("ETag")
	if c := res.Header.Get("Cache-Control"); res.StatusCode != 200 || !strings.HasPrefix(c, "public, max-age=") || !strings.Contains(c, "stale-while-revalidate=") || tag == "" ||
		res.Header.Get("Vary") != "Accept, Authorization" || !bytes.Contains(page, []byte("Landing Lamp")) {
		t.Fatalf("%s %v %s", res.Status, res.Header, page)
	}
	for name, query := range map[string]string{"the counts": countsNow, "one's own": withOwnBooking, "the status": `query ($id: ID!) { flashSale(id: $id) { title status } }`, "the work": challengeOf} {
		for _, who := range []string{"X: y", "Authorization: Bearer " + s.seller.token} {
			if res, body := s.get(query, sale, who); res.Header.Get("Cache-Control") != "private, no-store" || res.Header.Get("ETag") != "" {
				t.Errorf("%s: %v %s", name, res.Header, body)
			}
		}
	}
	s.everyFieldIsStaticOrLive(sale)
	if res, _ := s.get(landingPage, sale, "Authorization: Bearer "+s.seller.token); res.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("for somebody: %v", res.Header)
	}

	// The surge: a thousand visitors, half of whom have the page already, while all units are booked.
	buyers := make([]buyer, units)
	for i := range buyers {
		buyers[i] = s.buyer()
	}
	elsewhere := s.fetches("catalog") + s.fetches("accounts")
	var surge sync.WaitGroup
	for i := range 50 {
		surge.Go(func() {
			for n := range 20 {
				var has []string
				if n%2 == 0 {
					has = []string{"If-None-Match: " + tag}
				}
				res, body := s.in(t).get("id:landing", sale, has...)
				if n%2 == 0 && res.StatusCode != 304 || n%2 == 1 && (res.StatusCode != 200 || !bytes.Equal(body, page)) {
					t.Errorf("%d: %s", i, res.Status)
				}
			}
		})
	}
	for _, b := range buyers {
		surge.Go(func() { b.book(sale) })
	}
	surge.Wait()
	// The page lives for 30 s: it was made once or, on a slow day, again.
	if n := s.fetches("catalog") + s.fetches("accounts") - elsewhere; n > 20 {
		t.Errorf("the page cost %d fetches", n)
	}
	if live := s.guest().do(countsNow, vars{"id": sale}); text(live.at("flashSale.live.status")) != "SOLD_OUT" {
		t.Errorf("what is live is not live: %v", live.data)
	}
}

// everyFieldIsStaticOrLive asks for each field that a sale has by itself: what may be kept is what a seller decides, and a new field is neither
// until somebody has said so here.
func (s *testShop) everyFieldIsStaticOrLive(sale string) {
	s.t.Helper()
	kept := map[string]bool{"status": false, "seed": false, "drawnTickets": false, "challenge": false, "myTicket": false, "live": false, "myBookings": false}
	for _, f := range strings.Fields("id title seller startsAt endsAt offers limitPerAccount holdSeconds admission roomOpensAt challengeDifficulty admitPerSecond admissionSeconds seedHash") {
		kept[f] = true
	}
	all := s.guest().do(`{ __type(name: "FlashSale") { fields { name type { kind ofType { kind ofType { kind ofType { kind } } } } } } }`, nil)
	for _, f := range list(all.at("__type.fields")) {
		name, below := text(walk(f, "name")), ""
		for at := walk(f, "type"); at != nil; at = walk(at, "ofType") {
			if walk(at, "kind") == "OBJECT" {
				below = " { __typename }"
			}
		}
		keep, known := kept[name]
		res, body := s.get(`query ($id: ID!) { flashSale(id: $id) { `+name+below+` } }`, sale)
		if is := strings.HasPrefix(res.Header.Get("Cache-Control"), "public, "); !known || is != keep || !is && res.Header.Get("Cache-Control") != "private, no-store" {
			s.t.Errorf("%s: %v %s", name, res.Header, body)
		}
		delete(kept, name)
	}
	if len(kept) > 0 {
		s.t.Errorf("a sale has no %v", kept)
	}
}

// Every response says under which id logs know it, refusals too; the log has a line under each.
func TestS137EveryAnswerCanBeTraced(t *testing.T) {
	t.Parallel()
	shutdown, err := telemetry.Start(t.Context(), "souk", func(string) string { return "" }) // as main does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(context.WithoutCancel(t.Context())) })
	s := &testShop{t: t, breakers: map[string]*breaker{}}
	var mu sync.Mutex
	var written bytes.Buffer
	log := slog.New(slog.NewJSONHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return written.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.start(t.TempDir(), func(string) string { return "" }, log)
	for name, ask := range map[string]func() (*http.Response, []byte){
		"an answer":         func() (*http.Response, []byte) { return s.get(countsNow, "sale_none") },
		"a partial one":     func() (*http.Response, []byte) { return s.get(withOwnBooking, id.New(id.FlashSale)) },
		"a refused one":     func() (*http.Response, []byte) { return s.get(`{ nonsense }`, "") },
		"one that was kept": func() (*http.Response, []byte) { s.get(landingPage, "x"); return s.get(landingPage, "x") },
	} {
		res, body := ask()
		trace := res.Header.Get("Souk-Trace")
		if len(trace) != 32 {
			t.Errorf("%s has the trace %q: %s", name, trace, body)
			continue
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // a line is written after its answer has left
			mu.Lock()
			found := strings.Contains(written.String(), `"trace":"`+trace+`"`)
			mu.Unlock()
			if found {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the log does not know %s", name, trace)
			}
		}
	}
	if res, _ := s.get("", "", "Authorization: Bearer nonsense"); len(res.Header.Get("Souk-Trace")) != 32 {
		t.Error("what is no operation has no trace")
	}
}

type writer func([]byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

// Documents that are too deep, too wide or too dear are refused before anything is fetched, as is any that the shop's own clients were
// not built with, once that is asked for.
func TestS140DocumentsAreBounded(t *testing.T) {
	t.Parallel()
	s := &testShop{t: t, breakers: map[string]*breaker{}}
	env := map[string]string{"SOUK_DOCUMENTS": manifest(t, map[string]string{"live": countsNow}), "SOUK_DOCUMENTS_ONLY": "true", "SOUK_RATE_IP": "1/500"}
	s.start(t.TempDir(), func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
	before := s.fetches("")
	status, got := s.guest().ask(countsNow, vars{"id": id.New(id.FlashSale)})
	if status != 200 || got.errors != nil || s.fetches("") != before+1 {
		t.Errorf("a trusted document: %d %v", status, got.errors)
	}
	before = s.fetches("")
	if _, got := s.guest().ask(`{ flashSales { title } }`, nil); got.code(0) != "QUERY_NOT_IN_SAFELIST" {
		t.Errorf("another: %v", got.errors)
	}

	open := &testShop{t: t, breakers: map[string]*breaker{}}
	open.start(t.TempDir(), func(name string) string { return map[string]string{"SOUK_RATE_IP": "1/100000"}[name] }, slog.New(slog.DiscardHandler))
	beforeOpen := open.fetches("")
	for name, query := range map[string]string{
		"deep":              `{ categoryTree ` + strings.Repeat(`{ children `, 40) + `{ id }` + strings.Repeat(` }`, 41),
		"deep by fragments": `{ categoryTree { ...f0 } } ` + chained(40),
		"wide":              `{ ` + strings.Repeat(`a: flashSales { id } `, 3_000) + `}`,
		"many mutations":    `mutation { ` + manyBookings(200) + ` }`,
	} {
		if _, got := open.guest().ask(query, nil); got.code(0) != "OPERATION_TOO_LARGE" {
			t.Errorf("%s: %v", name, got.errors)
		}
	}
	if n := s.fetches("") - before + open.fetches("") - beforeOpen; n != 0 {
		t.Errorf("%d fetches for what was refused", n)
	}
	const dear = `{ products(first: 250) { nodes { variants(first: 250) { nodes { product { variants(first: 250) { nodes { id } } } } } } } }`
	open.guest().ask(dear, nil) // takes all that there is
	beforeOpen = open.fetches("")
	if _, got := open.guest().ask(dear, nil); got.code(0) != "THROTTLED" || open.fetches("") != beforeOpen {
		t.Errorf("what is dear, again: %v", got.errors)
	}
}

// manifest writes documents to a file.
func manifest(t *testing.T, documents map[string]string) (file string) {
	t.Helper()
	text, err := json.Marshal(documents)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func chained(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "fragment f%d on Category { children { ...f%d } } ", i, i+1)
	}
	fmt.Fprintf(&b, "fragment f%d on Category { id }", n)
	return b.String()
}

func manyBookings(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `b%d: flashSaleBook(input: { saleId: "x", idempotencyKey: "12345678" }) { userErrors { code } } `, i)
	}
	return b.String()
}
