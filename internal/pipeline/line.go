package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A Line is a connection on which a few prepared statements are run again and again, each time in a transaction of its own and without
// waiting for the time before: the server does them in the order in which they entered, one right behind the other. Any number of
// goroutines may be on a line.
type Line struct {
	conn *pgxpool.Conn

	entry sync.Mutex      // of whoever entered and has not sent yet
	last  <-chan struct{} // closed when all who entered so far have their answers
	buf   []byte

	mu     sync.Mutex
	riders int
	broken bool
}

// A Statement is prepared under its name.
type Statement struct{ Name, SQL string }

// OpenLine takes a connection out of the pool and prepares the statements on it. Who opens a line is on it, and has to leave it.
func OpenLine(ctx context.Context, pool *pgxpool.Pool, statements ...Statement) (*Line, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range statements {
		if _, err := conn.Conn().Prepare(ctx, s.Name, s.SQL); err != nil {
			conn.Release()
			return nil, err
		}
	}
	nobody := make(chan struct{})
	close(nobody)
	return &Line{conn: conn, last: nobody, riders: 1}, nil
}

// Join gets on a line that others are on; false when it is of no use any more. Who has joined has to leave.
func (l *Line) Join() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.riders == 0 || l.broken {
		return false
	}
	l.riders++
	return true
}

// Leave gets off. The last to leave gives the connection back.
func (l *Line) Leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.riders--; l.riders == 0 {
		l.conn.Release() // closed ones are thrown away
	}
}

// A Place is somebody's turn on a line: to send once, and then to wait once, at once. Who sends on another place first may be stopped
// for good, when the answers that nobody takes fill the socket: the server then reads nothing more either.
type Place struct {
	line   *Line
	before <-chan struct{} // closed when it is this one's answer that comes next
	done   chan struct{}
	failed error
}

// Enter takes the next place. Nobody else enters until it has sent.
func (l *Line) Enter() *Place {
	l.entry.Lock()
	p := &Place{line: l, before: l.last, done: make(chan struct{})}
	l.last = p.done
	return p
}

// Send has the server run one of the line's statements with parameters in binary form. Whether that works, Wait tells.
func (p *Place) Send(ctx context.Context, s Statement, params [][]byte) {
	l := p.line
	defer l.entry.Unlock()
	bind := pgproto3.Bind{PreparedStatement: s.Name, ParameterFormatCodes: []int16{1}, Parameters: params}
	if l.buf, p.failed = bind.Encode(l.buf[:0]); p.failed != nil {
		return
	}
	if l.buf, p.failed = (&pgproto3.Execute{}).Encode(l.buf); p.failed != nil {
		return
	}
	if l.buf, p.failed = (&pgproto3.Sync{}).Encode(l.buf); p.failed != nil {
		return
	}
	// Not through pgconn's own buffer, which is for one goroutine; another may be waiting for an answer here.
	to := l.conn.Conn().PgConn().Conn()
	if by, ok := ctx.Deadline(); ok {
		if p.failed = to.SetWriteDeadline(by); p.failed != nil {
			return
		}
		defer to.SetWriteDeadline(time.Time{})
	}
	_, p.failed = to.Write(l.buf)
}

// Wait returns how many rows the statement changed, once those before have their answers too. A *pgconn.PgError means that nothing
// happened; after any other error that is not known, neither of this statement nor of those behind it.
func (p *Place) Wait(ctx context.Context) (rows int64, err error) {
	<-p.before // which is as long as the contexts of those before allow
	defer close(p.done)
	conn := p.line.conn.Conn().PgConn()
	var refused error
	for err = p.failed; err == nil; {
		var m pgproto3.BackendMessage
		if m, err = conn.ReceiveMessage(ctx); err != nil {
			break
		}
		switch m := m.(type) {
		case *pgproto3.CommandComplete:
			rows = pgconn.NewCommandTag(string(m.CommandTag)).RowsAffected()
		case *pgproto3.ErrorResponse:
			refused = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			if refused != nil {
				return 0, refused
			}
			return rows, nil
		}
	}
	// What comes next on this connection would be this one's answer, or the half of it.
	p.line.mu.Lock()
	p.line.broken = true
	p.line.mu.Unlock()
	over, cancel := context.WithCancel(ctx)
	cancel()
	conn.Close(over)
	return 0, err
}
