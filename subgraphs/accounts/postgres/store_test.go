package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres"
	"github.com/souk-shop/souk/subgraphs/accounts/tokens"
)

const password = "correct horse"

type shop struct {
	*testing.T
	pool     *pgxpool.Pool
	store    *postgres.Store
	clock    *clock.Held
	accounts *accounts.Accounts
}

func setup(t *testing.T) *shop {
	t.Parallel()
	pool := pgtest.New(t, postgres.Migrations, pgtest.MaxConns(4)) // fewer than callers: nobody may need two
	s := &shop{T: t, pool: pool, store: postgres.NewStore(pool), clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))}
	keys, err := tokens.Open(t.Context(), s.store, s.clock)
	s.must(err)
	s.accounts = accounts.New(s.store, argon2id.New(argon2id.Cost{Memory: 8, Passes: 1, Lanes: 1}), keys, s.clock)
	return s
}

func (s *shop) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) register(email string) (accounts.Session, viewer.Viewer) {
	s.Helper()
	session, err := s.accounts.Register(s.Context(), email, password, "Ann")
	s.must(err)
	return session, viewer.Viewer{AccountID: session.Account.ID}
}

// text reads one column of text.
func (s *shop) text(query string) []string {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), query)
	s.must(err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	return found
}

// atOnce runs fn n times side by side and returns how often each error came.
func atOnce(n int, fn func(i int) error) map[error]int {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	count := map[error]int{}
	for _, err := range errs {
		for _, known := range []error{
			accounts.ErrEmailTaken, accounts.ErrBadCredentials, accounts.ErrNameTaken, accounts.ErrAlreadySeller, accounts.ErrTooManyAddresses,
		} {
			if errors.Is(err, known) {
				err = known
			}
		}
		count[err]++
	}
	return count
}

func TestOneAccountPerAddress(t *testing.T) {
	s := setup(t)
	got := atOnce(16, func(i int) error {
		_, err := s.accounts.Register(s.Context(), []string{"ann@souk.test", "Ann@SOUK.test"}[i%2], password, "Ann")
		return err
	})
	if got[nil] != 1 || got[accounts.ErrEmailTaken] != 15 {
		t.Error(got)
	}
	if n := s.text(`SELECT count(*)::text FROM sessions`); n[0] != "1" {
		t.Errorf("%s sessions", n[0])
	}
	if _, err := s.accounts.SignIn(s.Context(), "aNN@souk.test", password); err != nil {
		t.Error(err)
	}
}

func TestARefreshTokenWorksOnce(t *testing.T) {
	s := setup(t)
	session, _ := s.register("ann@souk.test")
	got := atOnce(16, func(int) error {
		_, err := s.accounts.Refresh(s.Context(), session.RefreshToken)
		return err
	})
	if got[nil] != 1 || got[accounts.ErrBadCredentials] != 15 {
		t.Error(got)
	}
}

// Of two requests that overlap, the one that comes second lost a race, and the first keeps its session.
func TestLosingARaceIsNoTheft(t *testing.T) {
	s := setup(t)
	session, _ := s.register("ann@souk.test")
	blocker, err := s.pool.Begin(s.Context())
	s.must(err)
	defer blocker.Rollback(context.WithoutCancel(s.Context()))
	_, err = blocker.Exec(s.Context(), `SELECT FROM refresh_tokens FOR UPDATE`)
	s.must(err)

	var won accounts.Session
	done := make(chan map[error]int)
	go func() {
		done <- atOnce(2, func(int) error {
			next, err := s.accounts.Refresh(s.Context(), session.RefreshToken)
			if err == nil {
				won = next
			}
			return err
		})
	}()
	for waiting := ""; waiting != "2"; time.Sleep(time.Millisecond) {
		waiting = s.text(`SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)[0]
	}
	s.must(blocker.Rollback(s.Context()))
	if got := <-done; got[nil] != 1 || got[accounts.ErrBadCredentials] != 1 {
		t.Error(got)
	}
	if _, err := s.accounts.Refresh(s.Context(), won.RefreshToken); err != nil {
		t.Errorf("the winner's session: %v", err)
	}
}

func TestAStolenRefreshTokenEndsTheSession(t *testing.T) {
	s := setup(t)
	first, _ := s.register("ann@souk.test")
	elsewhere, err := s.accounts.SignIn(s.Context(), "ann@souk.test", password)
	s.must(err)
	second, err := s.accounts.Refresh(s.Context(), first.RefreshToken)
	s.must(err)
	third, err := s.accounts.Refresh(s.Context(), second.RefreshToken)
	s.must(err)
	for name, token := range map[string]string{"used": first.RefreshToken, "unknown": "", "a guess": "AAAA\x00"} {
		if _, err := s.accounts.Refresh(s.Context(), token); !errors.Is(err, accounts.ErrBadCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.accounts.Refresh(s.Context(), third.RefreshToken); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("the newest token, after an old one came back: %v", err)
	}
	if _, err := s.accounts.Refresh(s.Context(), elsewhere.RefreshToken); err != nil {
		t.Errorf("the session on another device: %v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	s := setup(t)
	session, ann := s.register("ann@souk.test")
	_, bob := s.register("bob@souk.test")
	ann.SessionID = s.text(`SELECT id FROM sessions WHERE account_id = '` + ann.AccountID + `'`)[0]
	bob.SessionID = ann.SessionID
	s.must(s.accounts.SignOut(s.Context(), bob))
	session, err := s.accounts.Refresh(s.Context(), session.RefreshToken)
	if err != nil {
		t.Fatalf("after somebody else signed it out: %v", err)
	}
	elsewhere, err := s.accounts.SignIn(s.Context(), "ann@souk.test", password)
	s.must(err)
	for range 2 {
		s.must(s.accounts.SignOut(s.Context(), ann))
		if _, err := s.accounts.Refresh(s.Context(), session.RefreshToken); !errors.Is(err, accounts.ErrBadCredentials) {
			t.Errorf("after sign-out: %v", err)
		}
	}

	s.clock.Advance(30*24*time.Hour - 5*time.Minute)
	elsewhere, err = s.accounts.Refresh(s.Context(), elsewhere.RefreshToken)
	s.must(err)
	if left := elsewhere.ExpiresAt.Sub(s.clock.Now()); left > 5*time.Minute {
		t.Errorf("the access token outlives its session: %v", left)
	}
	s.clock.Advance(5 * time.Minute)
	if _, err := s.accounts.Refresh(s.Context(), elsewhere.RefreshToken); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("after thirty days: %v", err)
	}
	s.clock.Advance(time.Second)
	s.must(s.accounts.ForgetSessions(s.Context()))
	if left := s.text(`SELECT hash::text FROM refresh_tokens UNION ALL SELECT id FROM sessions`); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNoSecretIsKeptInClear(t *testing.T) {
	s := setup(t)
	first, ann := s.register("ann@souk.test")
	second, err := s.accounts.Refresh(s.Context(), first.RefreshToken)
	s.must(err)
	address := accounts.Address{Name: "Ann", Line1: "1 Mint Street", City: "Bengaluru", Pincode: "560001", Country: "IN"}
	_, err = s.accounts.SaveAddress(s.Context(), ann, nil, address)
	s.must(err)
	_, err = s.accounts.Onboard(s.Context(), ann, "Ann's Lamps", accounts.Individual, "29ABCDE1234F2Z5")
	s.must(err)

	var dump strings.Builder
	tables := s.text(`SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()`)
	for _, table := range tables {
		for _, row := range s.text(`SELECT t::text FROM ` + pgx.Identifier{table}.Sanitize() + ` t`) {
			fmt.Fprintln(&dump, table, row)
		}
	}
	for _, visible := range []string{"ann@souk.test", "Mint Street", "ann-s-lamps"} {
		if !strings.Contains(dump.String(), visible) {
			t.Fatalf("the dump of %v lacks %q: it proves nothing", tables, visible)
		}
	}
	for _, secret := range []string{password, first.RefreshToken, first.AccessToken, second.RefreshToken, second.AccessToken} {
		for form, s := range map[string]string{"clear": secret, "hex": fmt.Sprintf("%x", secret)} {
			if strings.Contains(dump.String(), s) {
				t.Errorf("%s is kept in %s", secret, form)
			}
		}
	}
}

func TestAddressesAtOnce(t *testing.T) {
	s := setup(t)
	_, ann := s.register("ann@souk.test")
	got := atOnce(25, func(i int) error {
		_, err := s.accounts.SaveAddress(s.Context(), ann, nil, accounts.Address{
			Name: "Ann", Line1: fmt.Sprint(i, " Mint Street"), City: "Bengaluru", Pincode: "560001", Country: "IN", Default: i%3 == 0,
		})
		return err
	})
	if got[nil] != 20 || got[accounts.ErrTooManyAddresses] != 5 {
		t.Error(got)
	}
	books, err := s.accounts.AddressesOf(s.Context(), []string{ann.AccountID})
	s.must(err)
	defaults := 0
	for _, a := range books[ann.AccountID] {
		if a.Default {
			defaults++
		}
	}
	if defaults != 1 || len(books[ann.AccountID]) != 20 {
		t.Errorf("%d defaults among %d", defaults, len(books[ann.AccountID]))
	}
	standard, _ := accounts.Book(books[ann.AccountID]).Default()
	told := s.text(`SELECT payload #>> '{default,id}' FROM outbox WHERE subject = '` + events.SubjectAddressSaved + `' ORDER BY id`)
	if len(told) != 20 || told[19] != standard.ID {
		t.Errorf("told %d times, last of %v, the default is %s", len(told), told[len(told)-1:], standard.ID)
	}
}

func TestTheDefaultMoves(t *testing.T) {
	s := setup(t)
	_, ann := s.register("ann@souk.test")
	_, bob := s.register("bob@souk.test")
	save := func(who viewer.Viewer, addressID *string, street string, standard bool) (accounts.Address, error) {
		return s.accounts.SaveAddress(s.Context(), who, addressID, accounts.Address{
			Name: "Ann", Line1: street, City: "Bengaluru", Pincode: "560001", Country: "IN", Default: standard,
		})
	}
	of := func(who viewer.Viewer, addressID string) string {
		a, err := s.accounts.AddressOf(s.Context(), events.AddressRequest{AccountID: who.AccountID, AddressID: addressID})
		if err != nil && !errors.Is(err, accounts.ErrNoAddress) {
			t.Fatal(err)
		}
		return a.Line1
	}
	if got := of(ann, ""); got != "" {
		t.Errorf("before there is one: %s", got)
	}
	home, err := save(ann, nil, "home", false)
	s.must(err)
	work, err := save(ann, nil, "work", false)
	s.must(err)
	if got := of(ann, ""); got != "home" {
		t.Errorf("the first is the default, not %s", got)
	}
	_, err = save(ann, &work.ID, "new work", true)
	s.must(err)
	_, err = save(ann, nil, "home", false) // there already
	s.must(err)
	if got := of(ann, "") + ", " + of(ann, home.ID); got != "new work, home" {
		t.Error(got)
	}
	if got := of(bob, home.ID) + of(ann, "adr_\x00") + of(viewer.Viewer{AccountID: "acc_\x00"}, ""); got != "" {
		t.Errorf("somebody else's: %s", got)
	}
	if _, err := save(bob, &home.ID, "mine now", true); !errors.Is(err, accounts.ErrNoAddress) {
		t.Errorf("changing somebody else's: %v", err)
	}
	if _, err := save(viewer.Viewer{AccountID: id.New(id.Account)}, nil, "nowhere", true); !errors.Is(err, accounts.ErrNoAccount) {
		t.Errorf("of an account that is gone: %v", err)
	}
	if told := s.text(`SELECT payload #>> '{default,line1}' FROM outbox ORDER BY id`); strings.Join(told, ", ") != "home, home, new work" {
		t.Errorf("told %v", told)
	}
}

func TestSellersAtOnce(t *testing.T) {
	s := setup(t)
	who := make([]viewer.Viewer, 8)
	for i := range who {
		_, who[i] = s.register(fmt.Sprintf("seller%d@souk.test", i))
	}
	got := atOnce(len(who), func(i int) error {
		_, err := s.accounts.Onboard(s.Context(), who[i], []string{"Ann's Lamps", "ANN'S  lamps"}[i%2], accounts.Individual, "")
		return err
	})
	if got[nil] != 1 || got[accounts.ErrNameTaken] != 7 {
		t.Errorf("one name: %v", got)
	}

	_, ann := s.register("ann@souk.test")
	ids := make([]string, 8)
	got = atOnce(len(ids), func(i int) error {
		seller, err := s.accounts.Onboard(s.Context(), ann, "Ann & Co", accounts.Professional, "")
		ids[i] = seller.ID
		return err
	})
	if got[nil] != len(ids) || strings.Count(strings.Join(ids, " "), ids[0]) != len(ids) {
		t.Errorf("one account, asking again: %v, %v", got, ids)
	}
	if _, err := s.accounts.Onboard(s.Context(), ann, "Bob & Co", accounts.Professional, ""); !errors.Is(err, accounts.ErrAlreadySeller) {
		t.Errorf("under another name: %v", err)
	}
	if _, err := s.accounts.Onboard(s.Context(), viewer.Viewer{AccountID: id.New(id.Account)}, "Nobody", accounts.Individual, ""); !errors.Is(err, accounts.ErrNoAccount) {
		t.Errorf("of an account that is gone: %v", err)
	}

	// Names that differ and make one slug.
	for i, want := range []string{"a-b", "a-b-2", "a-b-3"} {
		_, who := s.register(fmt.Sprintf("slug%d@souk.test", i))
		seller, err := s.accounts.Onboard(s.Context(), who, []string{"A B", "A-B", "A/B"}[i], accounts.Individual, "")
		s.must(err)
		found, err := s.accounts.SellerBy(s.Context(), nil, &want)
		s.must(err)
		if found == nil || *found != seller {
			t.Errorf("%s: %+v, onboarded %+v", want, found, seller)
		}
	}
}

func TestMachinesAgreeOnAKey(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, postgres.Migrations)
	store, at := postgres.NewStore(pool), clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	for turn := 1; turn <= 2; turn++ {
		got := atOnce(8, func(int) error {
			_, err := tokens.Open(t.Context(), store, at)
			return err
		})
		ring, err := store.SigningKeys(t.Context())
		if err != nil || got[nil] != 8 || len(ring) != turn || ring[turn-1].Generation != turn {
			t.Errorf("turn %d: %v, %d keys, %v", turn, got, len(ring), err)
		}
		at.Advance(31 * 24 * time.Hour)
	}
	at.Advance(-30 * 24 * time.Hour)
	keys, err := tokens.Open(t.Context(), store, at)
	if err != nil {
		t.Fatal(err)
	}
	if ring, err := store.SigningKeys(t.Context()); err != nil || len(ring) != 1 || ring[0].Generation != 2 {
		t.Errorf("the first key stays: %d keys, %v", len(ring), err)
	}
	if _, err := keys.Sign(accounts.Claims{}); err != nil {
		t.Error(err)
	}
}

func TestEnsureAccount(t *testing.T) {
	s := setup(t)
	s.register("old@souk.test")
	for _, email := range []string{"new@souk.test", "old@souk.test"} {
		got := atOnce(4, func(int) error {
			_, err := s.accounts.EnsureAccount(s.Context(), email, password+" changed", "Everything "+email[:3], accounts.RoleStaff, accounts.RoleSeller)
			return err
		})
		if got[nil] != 4 {
			t.Errorf("%s: %v", email, got)
		}
		known, err := s.store.Credentials(s.Context(), email)
		s.must(err)
		if !known.Staff || known.SellerID == "" {
			t.Errorf("%+v", known)
		}
	}
	if _, err := s.accounts.SignIn(s.Context(), "old@souk.test", password); err != nil {
		t.Errorf("an account that was there keeps its password: %v", err)
	}
}
