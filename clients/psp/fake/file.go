package fake

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/oklog/ulid/v2"

	"github.com/souk-shop/souk/clients/psp"
)

// A line of the file is a payment as it became; the last one holds.
type line struct {
	psp.Record
	Token string
	Moves map[string]move
	Seq   ulid.ULID
}

// open reads the books back, and goes on writing them.
func (p *Provider) open() error {
	if p.cfg.File == "" {
		return nil
	}
	if err := p.load(); err != nil {
		return fmt.Errorf("books of the fake provider: %w", err)
	}
	f, err := os.OpenFile(p.cfg.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("books of the fake provider: %w", err)
	}
	p.file = f
	return nil
}

func (p *Provider) load() error {
	f, err := os.Open(p.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // cut off when the machine stopped
		}
		pay := &payment{Record: l.Record, Token: l.Token, Moves: l.Moves, seq: l.Seq, decided: make(chan struct{})}
		if pay.Outcome != psp.Unknown {
			close(pay.decided)
		}
		p.payments[pay.Key] = pay
	}
	for _, pay := range p.payments {
		if _, _, at := cards(pay.Token); at == soon && pay.Outcome == psp.Unknown {
			p.decideSoon(pay)
		}
	}
	return lines.Err()
}

// save notes how a payment is now. The books are for play: a disk that is full must not stop the shop.
func (p *Provider) save(pay *payment) {
	if p.file == nil {
		return
	}
	b, err := json.Marshal(line{pay.Record, pay.Token, pay.Moves, pay.seq})
	if err == nil {
		_, err = p.file.Write(append(b, '\n'))
	}
	if err != nil {
		p.cfg.Log.Warn("books of the fake provider", "error", err)
	}
}

// Close closes the file of the books.
func (p *Provider) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
