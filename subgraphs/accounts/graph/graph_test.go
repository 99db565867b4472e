package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
	"github.com/souk-shop/souk/subgraphs/accounts/graph"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres"
	"github.com/souk-shop/souk/subgraphs/accounts/tokens"
)

// counting is a store that counts what it is asked.
type counting struct {
	accounts.Store
	accounts, sellers, books atomic.Int32
}

func (c *counting) AccountsByID(ctx context.Context, ids []string) ([]accounts.Account, error) {
	c.accounts.Add(1)
	return c.Store.AccountsByID(ctx, ids)
}

func (c *counting) SellersByID(ctx context.Context, ids []string) ([]accounts.Seller, error) {
	c.sellers.Add(1)
	return c.Store.SellersByID(ctx, ids)
}

func (c *counting) AddressesOf(ctx context.Context, ids []string) (map[string][]accounts.Address, error) {
	c.books.Add(1)
	return c.Store.AddressesOf(ctx, ids)
}

type shop struct {
	*testing.T
	clock    *clock.Held
	store    *counting
	keys     *tokens.Keys
	accounts *accounts.Accounts
	handler  http.Handler
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{T: t, clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))}
	kept := postgres.NewStore(pgtest.New(t, postgres.Migrations))
	s.store = &counting{Store: kept}
	var err error
	if s.keys, err = tokens.Open(t.Context(), kept, s.clock); err != nil {
		t.Fatal(err)
	}
	s.accounts = accounts.New(s.store, argon2id.New(argon2id.Cost{Memory: 8, Passes: 1, Lanes: 1}), s.keys, s.clock)
	s.handler = graph.Handler(s.accounts, slog.New(slog.NewTextHandler(t.Output(), nil)))
	return s
}

// ask posts an operation as a viewer and returns the answer's text.
func (s *shop) ask(who viewer.Viewer, query string, vars map[string]any) string {
	s.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		s.Fatal(err)
	}
	req := httptest.NewRequestWithContext(viewer.With(s.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return rec.Body.String()
}

// expect asks and compares.
func (s *shop) expect(who viewer.Viewer, query string, vars map[string]any, want string) {
	s.Helper()
	if got := s.ask(who, query, vars); got != want {
		s.Errorf("%s\n got %s\nwant %s", query, got, want)
	}
}

type session struct {
	AccessToken, RefreshToken string
	ExpiresAt                 time.Time
	Account                   struct{ ID, DisplayName string }
}

const sessionFields = `{ session { accessToken refreshToken expiresAt account { id displayName } } userErrors { code message field } }`

// signIn runs a mutation that answers with a session.
func (s *shop) signIn(mutation string, input map[string]any) session {
	s.Helper()
	answer := s.ask(viewer.Viewer{}, fmt.Sprintf(`mutation ($input: %sInput!) { %s(input: $input) %s }`,
		strings.ToUpper(mutation[:1])+mutation[1:], mutation, sessionFields), map[string]any{"input": input})
	var got struct {
		Data map[string]struct {
			Session    *session
			UserErrors []any
		}
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Data[mutation].Session == nil || len(got.Data[mutation].UserErrors) != 0 {
		s.Fatalf("%s: %s", mutation, answer)
	}
	return *got.Data[mutation].Session
}

func (s *shop) register(email, name string) session {
	s.Helper()
	return s.signIn("accountRegister", map[string]any{"email": email, "password": "correct horse", "displayName": name})
}

// bearer is whom the gateway takes the bearer of a token for: it knows the public keys and no more.
func (s *shop) bearer(token string) (viewer.Viewer, error) {
	rec := httptest.NewRecorder()
	s.keys.ServeHTTP(rec, httptest.NewRequest("GET", tokens.Path, nil))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(rec.Body.Bytes(), &set); err != nil {
		return viewer.Viewer{}, err
	}
	var c struct {
		jwt.RegisteredClaims
		SessionID string   `json:"sid"`
		SellerID  string   `json:"seller"`
		Scopes    []string `json:"scopes"`
	}
	_, err := jwt.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		for _, k := range set.Key(t.Header["kid"].(string)) {
			return k.Key, nil
		}
		return nil, errors.New("unknown key")
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer("souk"), jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.clock.Now))
	return viewer.Viewer{AccountID: c.Subject, SessionID: c.SessionID, SellerID: c.SellerID, Scopes: c.Scopes}, err
}

func (s *shop) as(in session) viewer.Viewer {
	s.Helper()
	v, err := s.bearer(in.AccessToken)
	if err != nil {
		s.Fatal(err)
	}
	return v
}

func TestFromRegistrationToSignOut(t *testing.T) {
	s := setup(t)
	first := s.register("Ann@souk.test", "Ann")
	ann := s.as(first)
	if !first.ExpiresAt.Equal(s.clock.Now().Add(10*time.Minute)) || ann.AccountID != first.Account.ID || first.Account.DisplayName != "Ann" {
		t.Errorf("%+v", first)
	}
	me := fmt.Sprintf(`{"data":{"me":{"id":%q,"email":"Ann@souk.test","displayName":"Ann","roles":["CUSTOMER"],"seller":null,"addresses":[]}}}`, ann.AccountID)
	s.expect(ann, `{ me { id email displayName roles seller { id } addresses { id } } }`, nil, me)

	second := s.signIn("sessionCreate", map[string]any{"email": "ann@SOUK.test", "password": "correct horse"})
	phone := s.as(second)
	if phone.SessionID == ann.SessionID {
		t.Error("two sign-ins are one session")
	}
	s.clock.Advance(10 * time.Minute)
	if _, err := s.bearer(first.AccessToken); !errors.Is(err, jwt.ErrTokenExpired) {
		t.Errorf("a token of ten minutes ago: %v", err)
	}
	next := s.signIn("sessionRefresh", map[string]any{"refreshToken": first.RefreshToken})
	if again := s.as(next); again.SessionID != ann.SessionID || again.AccountID != ann.AccountID {
		t.Errorf("refreshed into %+v", again)
	}
	refused := `{"data":{"sessionRefresh":{"session":null,"userErrors":[{"code":"BAD_CREDENTIALS","field":null}]}}}`
	refresh := `mutation ($token: String!) { sessionRefresh(input: {refreshToken: $token}) { session { accessToken } userErrors { code field } } }`
	for range 2 {
		s.expect(phone, `mutation { sessionRevoke { account { id } userErrors { code } } }`, nil,
			fmt.Sprintf(`{"data":{"sessionRevoke":{"account":{"id":%q},"userErrors":[]}}}`, ann.AccountID))
	}
	s.expect(viewer.Viewer{}, refresh, map[string]any{"token": second.RefreshToken}, refused)
	s.expect(viewer.Viewer{}, refresh, map[string]any{"token": first.RefreshToken}, refused)
	s.expect(viewer.Viewer{}, refresh, map[string]any{"token": next.RefreshToken}, refused) // the one before came back
	s.expect(viewer.Viewer{AccountID: id.New(id.Account)}, `{ me { id } }`, nil, `{"data":{"me":null}}`)
}

func TestWrongCredentialsLookTheSame(t *testing.T) {
	s := setup(t)
	s.register("ann@souk.test", "Ann")
	for name, in := range map[string][2]string{
		"wrong password":  {"ann@souk.test", "wrong battery"},
		"unknown address": {"bob@souk.test", "correct horse"},
		"no address":      {"\x00", "correct horse"},
		"no password":     {"ann@souk.test", ""},
	} {
		got := s.ask(viewer.Viewer{}, `mutation ($input: SessionCreateInput!) { sessionCreate(input: $input) { session { accessToken } userErrors { code message field } } }`,
			map[string]any{"input": map[string]any{"email": in[0], "password": in[1]}})
		if want := `{"data":{"sessionCreate":{"session":null,"userErrors":[{"code":"BAD_CREDENTIALS","message":"address and password, or refresh token, do not match an account","field":null}]}}}`; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestRefusalsNameTheField(t *testing.T) {
	s := setup(t)
	ann := s.as(s.register("ann@souk.test", "Ann"))
	bob := s.as(s.register("bob@souk.test", "Bob"))
	if _, err := s.accounts.Onboard(s.Context(), bob, "Bob's", accounts.Individual, ""); err != nil {
		t.Fatal(err)
	}
	account := func(email, password, name string) map[string]any {
		return map[string]any{"email": email, "password": password, "displayName": name}
	}
	address := func(change string, to any) map[string]any {
		in := map[string]any{"name": "Ann", "line1": "1 Mint Street", "city": "Bengaluru", "pincode": "560001", "country": "IN"}
		in[change] = to
		return in
	}
	for _, c := range []struct {
		who         viewer.Viewer
		mutation    string
		input       map[string]any
		code, field string
	}{
		{ann, "accountRegister", account("ANN@souk.test", "correct horse", "Ann"), "EMAIL_TAKEN", "email"},
		{ann, "accountRegister", account("ann", "correct horse", "Ann"), "INVALID", "email"},
		{ann, "accountRegister", account("a@souk.test", "too short", "Ann"), "INVALID", "password"},
		{ann, "accountRegister", account("a@souk.test", "correct horse", ""), "INVALID", "displayName"},
		{ann, "addressSave", address("id", "adr_1"), "INVALID", "id"},
		{ann, "addressSave", address("id", id.New(id.Address)), "NOT_FOUND", "id"},
		{ann, "addressSave", address("pincode", "?"), "INVALID", "pincode"},
		{ann, "addressSave", address("name", "\x00"), "INVALID", "name"},
		{ann, "sellerOnboard", map[string]any{"name": "A", "tier": "INDIVIDUAL"}, "INVALID", "name"},
		{ann, "sellerOnboard", map[string]any{"name": "BOB's", "tier": "INDIVIDUAL"}, "NAME_TAKEN", "name"},
		{bob, "sellerOnboard", map[string]any{"name": "Bob & Sons", "tier": "INDIVIDUAL"}, "ALREADY_SELLER", ""},
	} {
		kind := strings.ToUpper(c.mutation[:1]) + c.mutation[1:]
		if c.mutation == "addressSave" {
			kind = "Address"
		}
		got := s.ask(c.who, fmt.Sprintf(`mutation ($input: %sInput!) { %s(input: $input) { userErrors { code field } } }`, kind, c.mutation), map[string]any{"input": c.input})
		field := "null"
		if c.field != "" {
			field = fmt.Sprintf(`["input",%q]`, c.field)
		}
		if want := fmt.Sprintf(`{"data":{%q:{"userErrors":[{"code":%q,"field":%s}]}}}`, c.mutation, c.code, field); got != want {
			t.Errorf("%v:\n got %s\nwant %s", c.input, got, want)
		}
	}
	for query, want := range map[string]string{
		`{ seller(id: "sel_1") { id } }`:            `"extensions":{"code":"INVALID_ID","field":["id"]}`,
		`{ seller { id } }`:                         `"extensions":{"code":"INVALID"}`,
		`{ seller(id: "sel_1", slug: "x") { id } }`: `"extensions":{"code":"INVALID"}`,
		`{ seller(slug: "nobody-s") { id } }`:       `{"data":{"seller":null}}`,
		`{ seller(slug: "\u0000") { id } }`:         `{"data":{"seller":null}}`,
	} {
		if got := s.ask(ann, query, nil); !strings.Contains(got, want) {
			t.Errorf("%s: %s", query, got)
		}
	}
	for _, guarded := range []string{
		`{ me { id } }`, `mutation { sessionRevoke { account { id } } }`,
		`mutation { sellerOnboard(input: {name: "Ann", tier: INDIVIDUAL}) { seller { id } } }`,
		`mutation { addressSave(input: {name: "A", line1: "1", city: "B", pincode: "1", country: "IN"}) { account { id } } }`,
	} {
		if got := s.ask(viewer.Viewer{}, guarded, nil); !strings.Contains(got, `"UNAUTHENTICATED"`) {
			t.Errorf("a guest, %s: %s", guarded, got)
		}
	}
}

func TestSellersSellWithTheNextToken(t *testing.T) {
	s := setup(t)
	first := s.register("ann@souk.test", "Ann")
	ann := s.as(first)
	if ann.SellerID != "" || len(ann.Scopes) != 0 {
		t.Errorf("a customer: %+v", ann)
	}
	onboard := `mutation { sellerOnboard(input: {name: "Ann's Lamps", tier: PROFESSIONAL, taxId: "1"}) { seller { slug name tier since } userErrors { code } } }`
	want := `{"data":{"sellerOnboard":{"seller":{"slug":"ann-s-lamps","name":"Ann's Lamps","tier":"PROFESSIONAL","since":"2026-11-21T10:00:00Z"},"userErrors":[]}}}`
	s.expect(ann, onboard, nil, want)
	s.clock.Advance(time.Minute)
	s.expect(ann, onboard, nil, want)

	seller := s.as(s.signIn("sessionRefresh", map[string]any{"refreshToken": first.RefreshToken}))
	if !id.Is(id.Seller, seller.SellerID) || !seller.Has(viewer.ScopeSeller) || seller.Staff() {
		t.Errorf("a seller: %+v", seller)
	}
	s.expect(seller, `{ me { roles seller { id } } bySlug: seller(slug: "ann-s-lamps") { id } }`, nil,
		fmt.Sprintf(`{"data":{"me":{"roles":["CUSTOMER","SELLER"],"seller":{"id":%[1]q}},"bySlug":{"id":%[1]q}}}`, seller.SellerID))
	s.expect(viewer.Viewer{}, `query ($id: ID!) { seller(id: $id) { name } }`, map[string]any{"id": seller.SellerID}, `{"data":{"seller":{"name":"Ann's Lamps"}}}`)
}

func TestAddresses(t *testing.T) {
	s := setup(t)
	ann := s.as(s.register("ann@souk.test", "Ann"))
	save := `mutation ($input: AddressInput!) { addressSave(input: $input) { account { addresses { name line1 line2 city region pincode country phone default } } userErrors { code } } }`
	home := `{"name":"Ann","line1":"1 Mint Street","line2":null,"city":"Bengaluru","region":null,"pincode":"560001","country":"IN","phone":null,"default":%v}`
	work := `{"name":"Ann","line1":"2 Mint Street","line2":"Floor 2","city":"London","region":"Greater London","pincode":"SW1A 1AA","country":"GB","phone":"+44 20 7946 0000","default":true}`
	s.expect(ann, save, map[string]any{"input": map[string]any{"name": "Ann", "line1": "1 Mint Street", "city": "Bengaluru", "pincode": "560001", "country": "IN"}},
		fmt.Sprintf(`{"data":{"addressSave":{"account":{"addresses":[`+home+`]},"userErrors":[]}}}`, true))
	s.expect(ann, save, map[string]any{"input": map[string]any{
		"name": "Ann", "line1": "2 Mint Street", "line2": "Floor 2", "city": "London", "region": "Greater London", "pincode": "sw1a 1aa", "country": "GB",
		"phone": "+44 20 7946 0000", "default": true,
	}}, fmt.Sprintf(`{"data":{"addressSave":{"account":{"addresses":[`+home+`,`+work+`]},"userErrors":[]}}}`, false))
}

func TestOthersSeeANameAndNoMore(t *testing.T) {
	s := setup(t)
	ann, bob := s.as(s.register("ann@souk.test", "Ann")), s.as(s.register("bob@souk.test", "Bob"))
	if _, err := s.accounts.SaveAddress(s.Context(), ann, nil, accounts.Address{Name: "Ann", Line1: "1 Mint Street", City: "Bengaluru", Pincode: "560001", Country: "IN"}); err != nil {
		t.Fatal(err)
	}
	staff, err := s.accounts.EnsureAccount(s.Context(), "staff@souk.test", "open-sesame-souk", "Sam", accounts.RoleStaff)
	if err != nil {
		t.Fatal(err)
	}
	sam := s.as(s.signIn("sessionCreate", map[string]any{"email": "staff@souk.test", "password": "open-sesame-souk"}))
	if sam.AccountID != staff.ID || !sam.Staff() || !sam.Has(viewer.ScopePayments) || !sam.Has(viewer.ScopeLogistics) {
		t.Errorf("staff: %+v", sam)
	}
	query := `query ($id: ID!) { _entities(representations: [{__typename: "Account", id: $id}]) { ... on Account { displayName email roles addresses { line1 } } } }`
	open := `{"data":{"_entities":[{"displayName":"Ann","email":"ann@souk.test","roles":["CUSTOMER"],"addresses":[{"line1":"1 Mint Street"}]}]}}`
	vars := map[string]any{"id": ann.AccountID}
	s.expect(ann, query, vars, open)
	s.expect(sam, query, vars, open)
	s.expect(bob, query, vars, `{"data":{"_entities":[{"displayName":"Ann","email":null,"roles":null,"addresses":null}]}}`)
	got := s.ask(viewer.Viewer{}, query, vars)
	if !strings.Contains(got, `{"displayName":"Ann","email":null,"roles":null,"addresses":null}`) || strings.Contains(got, "@souk.test") {
		t.Errorf("a guest: %s", got)
	}
}

func TestEntitiesAreReadTogether(t *testing.T) {
	s := setup(t)
	staff := viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	var reps []map[string]any
	want := make([]string, 0, 50)
	for i := range 24 {
		who := s.as(s.register(fmt.Sprintf("seller%d@souk.test", i), fmt.Sprint("Seller ", i)))
		seller, err := s.accounts.Onboard(s.Context(), who, fmt.Sprint("Lamps ", i), accounts.Individual, "")
		if err != nil {
			t.Fatal(err)
		}
		reps = append(reps, map[string]any{"__typename": "Account", "id": who.AccountID}, map[string]any{"__typename": "Seller", "id": seller.ID})
		want = append(want, fmt.Sprintf(`{"displayName":"Seller %[1]d","seller":{"name":"Lamps %[1]d"},"addresses":[]}`, i), fmt.Sprintf(`{"name":"Lamps %d"}`, i))
	}
	for _, missing := range []string{id.New(id.Account), "acc_\x00", ""} {
		reps = append(reps, map[string]any{"__typename": "Account", "id": missing})
		want = append(want, "null")
	}
	s.store.accounts.Store(0)
	s.store.sellers.Store(0)
	s.store.books.Store(0)
	s.expect(staff, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Account { displayName seller { name } addresses { id } } ... on Seller { name } } }`,
		map[string]any{"r": reps}, `{"data":{"_entities":[`+strings.Join(want, ",")+`]}}`)
	// A busy machine may gather a list in some windows instead of one; never in one a key.
	if a, n, b := s.store.accounts.Load(), s.store.sellers.Load(), s.store.books.Load(); a != 1 || n > 12 || b > 12 {
		t.Errorf("24 accounts and 24 sellers took %d, %d and %d reads", a, n, b)
	}
}
