package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	clientnats "github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/internal/devstores/nats"
	"github.com/souk-shop/souk/internal/outbox"
)

type exportCommands struct {
	Events exportEventsCommand `cmd:"" help:"Print what became true in the shop, in its order, one JSON object a line."`
}

type exportEventsCommand struct {
	After   uint64   `help:"Begin behind this sequence: the last one that was read. Without it, with the oldest event there is." placeholder:"SEQ"`
	Subject []string `help:"Only events of these subjects, with NATS wildcards: souk.event.orders.> (repeat)." placeholder:"SUBJECT"`
	Follow  bool     `short:"f" help:"Go on with what becomes true from now on."`
	Data    string   `help:"Folder of a souk dev that is not running; without it the NATS that the environment names." type:"path" placeholder:"DIR"`
}

// An exported event is one line. Consumers ignore fields they do not know, and an id that they have seen.
type exported struct {
	Sequence   uint64          `json:"seq"`
	ID         string          `json:"id"`
	Subject    string          `json:"subject"`
	RecordedAt time.Time       `json:"recordedAt"`
	Event      json.RawMessage `json:"event"`
}

// Run reads the stream of events and leaves no trace in it, so that any number may read, each from where it likes.
func (c exportEventsCommand) Run(ctx context.Context, p *process) error {
	url, err := config{p.getenv}.need("SOUK_NATS_URL")
	if c.Data != "" {
		lock, err := lockFolder(c.Data)
		if err != nil {
			return err
		}
		defer lock.Close()
		server, err := nats.Start(ctx, nats.Config{Dir: filepath.Join(c.Data, "nats"), Log: p.log})
		if err != nil {
			return err
		}
		defer server.Stop()
		url = server.URL()
	} else if err != nil {
		return err
	}
	nc, err := clientnats.Open(ctx, url, "export", p.log)
	if err != nil {
		return err
	}
	defer nc.Close()
	out := bufio.NewWriter(p.stdout)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	err = outbox.Read(ctx, nc.Streams, outbox.Export{Subjects: c.Subject, After: c.After, Follow: c.Follow}, func(e outbox.Received) error {
		if err := lines.Encode(exported{e.Sequence, e.ID, e.Subject, e.RecordedAt, e.Data}); err != nil {
			return err
		}
		if c.Follow { // somebody waits for it
			return out.Flush()
		}
		return nil
	})
	if failed := out.Flush(); err == nil && failed != nil {
		err = fmt.Errorf("export: %w", failed)
	}
	return err
}
