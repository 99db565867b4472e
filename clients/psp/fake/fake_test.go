package fake_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/internal/money"
)

var price = money.Money{Amount: 1990, Currency: "USD"}

func open(t *testing.T, cfg fake.Config) *fake.Provider {
	t.Helper()
	if cfg.Secret == nil {
		cfg.Secret = []byte("secret")
	}
	p, err := fake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func authorize(t *testing.T, p *fake.Provider, key, token string) psp.Answer {
	t.Helper()
	a, err := p.Authorize(t.Context(), psp.Authorization{Key: key, Token: token, Amount: price})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCards(t *testing.T) {
	p := open(t, fake.Config{PublicURL: "http://psp", Wait: func(context.Context, time.Duration) error { return nil }})
	for token, want := range map[string]psp.Answer{
		fake.Succeeds:    {Outcome: psp.Approved},
		fake.IsSlow:      {Outcome: psp.Approved},
		fake.IsDeclined:  {Outcome: psp.Declined, Code: "card_declined"},
		fake.NeedsAction: {Outcome: psp.ActionRequired, RedirectURL: "http://psp/payments/" + fake.NeedsAction},
		"tok_9999":       {Outcome: psp.Declined, Code: "invalid_token"},
		"anything":       {Outcome: psp.Declined, Code: "invalid_token"},
	} {
		got := authorize(t, p, token, token)
		again := authorize(t, p, token, token)
		want.Reference = got.Reference
		if got != want || again != got || got.Reference == "" {
			t.Errorf("%s: %+v, again %+v", token, got, again)
		}
	}
	if _, err := p.Authorize(t.Context(), psp.Authorization{Key: fake.Succeeds, Token: fake.Succeeds, Amount: money.Money{Amount: 1, Currency: "USD"}}); !errors.Is(err, fake.ErrKey) {
		t.Errorf("the key with another amount: %v", err)
	}
	if got := p.Kept()["USD"]; got != 2*1990 {
		t.Errorf("%d are kept", got)
	}
}

func TestACardThatNeverAnswers(t *testing.T) {
	p := open(t, fake.Config{})
	ctx, hangUp := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := p.Authorize(ctx, psp.Authorization{Key: "k", Token: fake.IsSilent, Amount: price})
		asked <- err
	}()
	for len(p.Books()) == 0 {
		time.Sleep(time.Millisecond)
	}
	hangUp()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if r, err := p.Lookup(t.Context(), "k"); err != nil || r.Outcome != psp.Unknown {
		t.Errorf("%+v, %v", r, err)
	}
	if a, err := p.Void(t.Context(), psp.Move{Key: "v1", Payment: "k", Amount: price}); err != nil || a.Outcome != psp.Approved {
		t.Errorf("let go while it is being decided: %+v, %v", a, err)
	}
	if err := p.Succeed("k"); err != nil {
		t.Fatal(err)
	}
	if a := authorize(t, p, "k", fake.IsSilent); a.Outcome != psp.Approved {
		t.Errorf("%+v", a)
	}
	if got := p.Kept()["USD"]; got != 1990 {
		t.Errorf("%d are kept", got)
	}
	if a, err := p.Void(t.Context(), psp.Move{Key: "v2", Payment: "k", Amount: price}); err != nil || a.Outcome != psp.Approved || len(p.Kept()) != 0 {
		t.Errorf("let go: %+v, %v, %v", a, err, p.Kept())
	}
	if p.Succeed("k") == nil || p.Fail("nobody") == nil {
		t.Error("what is decided was decided again")
	}
}

func TestMoves(t *testing.T) {
	p := open(t, fake.Config{})
	authorize(t, p, "k", fake.Succeeds)
	usd := func(n int64) money.Money { return money.Money{Amount: n, Currency: "USD"} }
	for _, c := range []struct {
		do     func(context.Context, psp.Move) (psp.Answer, error)
		key    string
		amount int64
		want   psp.Outcome
		kept   int64
	}{
		{p.Refund, "r0", 1, psp.Declined, 1990},
		{p.Capture, "c0", 1991, psp.Declined, 1990},
		{p.Capture, "c1", 1500, psp.Approved, 1500},
		{p.Capture, "c1", 1500, psp.Approved, 1500},
		{p.Capture, "c2", 1, psp.Declined, 1500},
		{p.Void, "v", 1990, psp.Declined, 1500},
		{p.Refund, "r1", 1000, psp.Approved, 500},
		{p.Refund, "r1", 1000, psp.Approved, 500},
		{p.Refund, "r2", 501, psp.Declined, 500},
		{p.Refund, "r3", 500, psp.Approved, 0},
	} {
		a, err := c.do(t.Context(), psp.Move{Key: c.key, Payment: "k", Amount: usd(c.amount)})
		if err != nil || a.Outcome != c.want || p.Kept()["USD"] != c.kept {
			t.Errorf("%s: %+v, %v, %v are kept", c.key, a, err, p.Kept())
		}
	}
	if _, err := p.Capture(t.Context(), psp.Move{Key: "c", Payment: "nobody"}); !errors.Is(err, psp.ErrNoPayment) {
		t.Error(err)
	}
}

func TestWhatIsLetGoBeforeItComesIsRefused(t *testing.T) {
	p := open(t, fake.Config{})
	for _, key := range []string{"v1", "v1", "v2"} {
		if a, err := p.Void(t.Context(), psp.Move{Key: key, Payment: "k", Amount: price}); err != nil || a.Outcome != psp.Approved {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if a := authorize(t, p, "k", fake.Succeeds); a.Outcome != psp.Declined || a.Code != "voided" {
		t.Errorf("%+v", a)
	}
}

func TestWebhooksAreSentUntilTheyAreTaken(t *testing.T) {
	var mu sync.Mutex
	var got []psp.Event
	down := true
	var p *fake.Provider
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		e, err := p.Event(r.Header.Get, body, time.Now())
		if err != nil {
			t.Error(err)
		}
		got = append(got, e)
	}))
	t.Cleanup(srv.Close)
	p = open(t, fake.Config{WebhookURL: srv.URL})
	authorize(t, p, "k", fake.Succeeds)
	if _, err := p.Capture(t.Context(), psp.Move{Key: "c", Payment: "k", Amount: price}); err != nil {
		t.Fatal(err)
	}
	if err := p.Deliver(t.Context(), fake.Delivery{}); err == nil {
		t.Error("nobody took them")
	}
	mu.Lock()
	down = false
	mu.Unlock()
	if err := p.Deliver(t.Context(), fake.Delivery{Twice: true, Backwards: true}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[0].Kind != psp.Capture || got[0].Move != "c" || got[0].ID != got[1].ID || got[2].Kind != psp.Authorize || *got[2].Amount != price || got[2].Payment != "k" {
		t.Errorf("%+v", got)
	}
	if err := p.Deliver(t.Context(), fake.Delivery{}); err != nil || len(got) != 4 {
		t.Errorf("%v, %d", err, len(got))
	}
}

func TestTheBuyersPage(t *testing.T) {
	p := open(t, fake.Config{})
	srv := httptest.NewServer(p.Pages())
	t.Cleanup(srv.Close)
	authorize(t, p, "k", fake.NeedsAction)
	send := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if code, body := send("GET", "/payments/k"); code != 200 || !strings.Contains(body, "19.90 USD") || !strings.Contains(body, `formaction="k/confirm"`) {
		t.Error(code, body)
	}
	if code, _ := send("POST", "/payments/k/confirm"); code != 200 || p.Kept()["USD"] != 1990 {
		t.Error(code, p.Kept())
	}
	if code, _ := send("POST", "/payments/k/refuse"); code != 409 || p.Kept()["USD"] != 1990 {
		t.Error(code, p.Kept())
	}
	if code, _ := send("POST", "/payments/nobody/confirm"); code != 404 {
		t.Error(code)
	}
	if code, body := send("GET", "/payments"); code != 200 || !strings.Contains(body, `"kept":{"USD":1990}`) {
		t.Error(code, body)
	}
}

func TestBooksInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "books.jsonl")
	p := open(t, fake.Config{File: file})
	before := authorize(t, p, "k", fake.Succeeds)
	if _, err := p.Capture(t.Context(), psp.Move{Key: "c", Payment: "k", Amount: price}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, fake.Config{File: file})
	t.Cleanup(func() { p.Close() })
	if after := authorize(t, p, "k", fake.Succeeds); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
	if a, err := p.Capture(t.Context(), psp.Move{Key: "c", Payment: "k", Amount: price}); err != nil || a.Outcome != psp.Approved || p.Kept()["USD"] != 1990 {
		t.Errorf("%+v, %v, %v", a, err, p.Kept())
	}
}

// A shop in another process sees the same provider, and nobody without the secret does.
func TestTheDesk(t *testing.T) {
	ctx := t.Context()
	p := open(t, fake.Config{})
	server := httptest.NewServer(p.Desk())
	defer server.Close()
	remote := fake.Dial(server.URL, fake.Config{Secret: []byte("secret")})
	a, err := remote.Authorize(ctx, psp.Authorization{Key: "pay_1", Token: fake.Succeeds, Amount: price})
	if err != nil || a.Outcome != psp.Approved {
		t.Fatalf("%+v %v", a, err)
	}
	if _, err := remote.Authorize(ctx, psp.Authorization{Key: "pay_1", Token: fake.IsDeclined, Amount: price}); !errors.Is(err, fake.ErrKey) {
		t.Errorf("another payment under the same key: %v", err)
	}
	if a, err := remote.Capture(ctx, psp.Move{Key: "txn_1", Payment: "pay_1", Amount: price}); err != nil || a.Outcome != psp.Approved {
		t.Errorf("%+v %v", a, err)
	}
	if a, err := remote.Void(ctx, psp.Move{Key: "txn_2", Payment: "pay_1", Amount: price}); err != nil || a.Code != "already_captured" {
		t.Errorf("%+v %v", a, err)
	}
	if a, err := remote.Refund(ctx, psp.Move{Key: "txn_3", Payment: "pay_1", Amount: money.Money{Amount: 90, Currency: "USD"}}); err != nil || a.Outcome != psp.Approved {
		t.Errorf("%+v %v", a, err)
	}
	if r, err := remote.Lookup(ctx, "pay_1"); err != nil || r.Kept() != 1900 || len(r.Refunds) != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := remote.Lookup(ctx, "pay_2"); !errors.Is(err, psp.ErrNoPayment) {
		t.Errorf("%v", err)
	}
	stranger := fake.Dial(server.URL, fake.Config{Secret: []byte("guessed")})
	if r, err := stranger.Lookup(ctx, "pay_1"); err == nil {
		t.Errorf("a stranger reads %+v", r)
	}
	waiting, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := remote.Authorize(waiting, psp.Authorization{Key: "pay_3", Token: fake.IsSilent, Amount: price}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a card that does not answer: %v", err)
	}
}
