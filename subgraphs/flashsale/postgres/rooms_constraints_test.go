package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// queued is a lottery of two units in which somebody has booked, somebody let their turn go by, somebody is in and two wait, one of
// them come late; and what fills in their ids.
func (w *world) queued() (string, *strings.Replacer) {
	w.t.Helper()
	saleID := w.crowded(0)
	w.clock.Advance(-time.Minute)
	var accounts []string
	join := func(n int) {
		w.t.Helper()
		for range n {
			accounts = append(accounts, id.New(id.Account))
		}
		if res, err := w.store.Join(w.t.Context(), saleID, accounts[len(accounts)-n:], w.clock.Now()); err != nil || res[n-1].Err != nil {
			w.t.Fatal(err, res[n-1].Err)
		}
	}
	let := func(n int) {
		w.t.Helper()
		if err := w.store.Admit(w.t.Context(), saleID, w.clock.Now(), func(*flashsale.Room, flashsale.Sale, int) int { return n }); err != nil {
			w.t.Fatal(err)
		}
	}
	join(4)
	w.clock.Advance(time.Minute)
	join(1)
	let(1)
	w.clock.Advance(2 * time.Minute)
	let(2)
	var drawn []flashsale.Ticket
	for place := range 4 {
		found, err := w.store.TicketsByID(w.t.Context(), []string{w.someone(saleID, place+1)})
		if err != nil {
			w.t.Fatal(err)
		}
		drawn = append(drawn, found...)
	}
	res, err := w.store.Book(w.t.Context(), saleID, []flashsale.BookRequest{{AccountID: drawn[1].AccountID, Key: "key-00000001", TicketID: drawn[1].ID}}, w.clock.Now())
	if err != nil || res[0].Booking == nil {
		w.t.Fatal(err, res)
	}
	w.sound()
	quoted := func(s string) string { return "'" + s + "'" }
	return saleID, strings.NewReplacer("$sale", quoted(saleID), "$lapsed", quoted(drawn[0].ID), "$used", quoted(drawn[1].ID), "$in", quoted(drawn[2].ID), "$waits", quoted(drawn[3].ID),
		"$booking", quoted(res[0].Booking.ID))
}

func TestTheDatabaseRefusesInTheWaitingRoom(t *testing.T) {
	w := setup(t)
	saleID, fill := w.queued()
	const another = `INSERT INTO tickets SELECT 'tkt_2', sale_id, `
	for name, c := range map[string]struct{ sql, constraint string }{
		"another seed":              {`UPDATE sales SET seed = sha256('luckier') WHERE id = $sale`, ""},
		"another draw":              {`UPDATE rooms SET (drawn_at, rev) = (now(), rev + 1) WHERE sale_id = $sale`, ""},
		"an entrant after the draw": {`UPDATE rooms SET (entrants, rev) = (entrants + 1, rev + 1) WHERE sale_id = $sale`, ""},
		"a turn taken back":         {`UPDATE rooms SET (called, rev) = (called - 1, rev + 1) WHERE sale_id = $sale`, ""},
		"more called than joined":   {`UPDATE rooms SET (called, rev) = (joined + 1, rev + 1) WHERE sale_id = $sale`, "rooms_add_up"},
		"another lot":               {`UPDATE tickets SET (lot, status, admitted_until) = (0, 'ADMITTED', now()) WHERE id = $waits`, ""},
		"another's ticket":          {`UPDATE tickets SET (account_id, status) = ('acc_2', 'EXPIRED') WHERE id = $in`, ""},
		"a second turn":             {`UPDATE tickets SET (status, admitted_until) = ('ADMITTED', now()) WHERE id = $lapsed`, ""},
		"a longer turn":             {`UPDATE tickets SET admitted_until = admitted_until + interval '1 minute' WHERE id = $in`, ""},
		"a turn without an end":     {`UPDATE tickets SET status = 'ADMITTED' WHERE id = $waits`, "tickets_check"},
		"used for nothing":          {`UPDATE tickets SET status = 'USED' WHERE id = $in`, "tickets_check1"},
		"used for another's":        {`UPDATE tickets SET (status, booking_id) = ('USED', $booking) WHERE id = $in`, "tickets_of_booking"},
		"used for no booking":       {`UPDATE tickets SET (status, booking_id) = ('USED', 'fsb_2') WHERE id = $in`, "tickets_booking_id_fkey"},
		"used without a turn":       {`UPDATE tickets SET (status, booking_id, admitted_until) = ('USED', $booking, now()) WHERE id = $waits`, ""},
		"a second ticket":           {another + `account_id, 99, NULL, 'WAITING', joined_at, NULL, NULL FROM tickets WHERE id = $waits`, "tickets_of_account"},
		"a place twice":             {another + `'acc_2', number, NULL, 'WAITING', joined_at, NULL, NULL FROM tickets WHERE id = $waits`, "tickets_by_number"},
		"a ticket that is gone":     {`DELETE FROM tickets WHERE id = $waits`, ""},
		"a room that is gone":       {`DELETE FROM rooms WHERE sale_id = $sale`, ""},
	} {
		_, err := w.pool.Exec(t.Context(), fill.Replace(c.sql))
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Code, "23") || c.constraint != "" && refused.ConstraintName != c.constraint {
			t.Errorf("%s: %v, want a refusal by %q", name, err, c.constraint)
		}
	}
	if r := w.found(saleID).Room; r.Joined != 5 || r.Entrants != 4 || r.Called != 3 {
		t.Errorf("%+v", r)
	}
	w.sound()
}

func TestTheAuditFindsDamageInTheWaitingRoom(t *testing.T) {
	for sql, want := range map[string]string{
		`UPDATE sales SET seed = sha256('luckier')`:                                                               "but the seed gives it",
		`UPDATE rooms SET called = 2`:                                                                             "2 were called, but there are tickets of 5, 4 and 3",
		`DELETE FROM tickets WHERE id = $waits`:                                                                   "5 joined, 4 of them in the draw",
		`UPDATE tickets SET number = 9 WHERE lot IS NULL`:                                                         "numbered up to 9",
		`UPDATE tickets SET status = 'EXPIRED', admitted_until = now() WHERE id = $waits`:                         "is EXPIRED at place 4, when 3 were called",
		`UPDATE tickets SET status = 'WAITING', admitted_until = NULL WHERE id = $in`:                             "is WAITING at place 3, when 3 were called",
		`UPDATE tickets SET account_id = 'acc_2' WHERE id = $used`:                                                "which is not of its account and sale",
		`UPDATE tickets SET status = 'EXPIRED', booking_id = NULL WHERE id = $used`:                               "was made with 0 tickets",
		`INSERT INTO milestones SELECT sale_id, 2, lot, id FROM tickets WHERE id = $waits`:                        "who has another place",
		`DROP INDEX tickets_of_booking; UPDATE tickets SET status = 'USED', booking_id = $booking WHERE id = $in`: "was made with 2 tickets",
	} {
		t.Run(sql, func(t *testing.T) {
			w := setup(t)
			_, fill := w.queued()
			if err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica; `+fill.Replace(sql))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			found, err := w.store.Audit(t.Context())
			if err != nil || !strings.Contains(strings.Join(found, "\n"), want) {
				t.Errorf("found %q, %v; want %q", found, err, want)
			}
		})
	}
}
