package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A gallery is an audience in a process of its own, so that what the clients take of the machine can be told from what the shop takes.
type gallery struct {
	cmd   *exec.Cmd
	count int
	hang  io.Closer

	mu     sync.Mutex
	to     *json.Encoder
	from   *json.Decoder
	failed error
}

// A galleryAsk is what a gallery is asked; it answers with the one field that was asked for.
type galleryAsk struct {
	Latest, Heard bool
	Exact         *saleCounts
}

type galleryAnswer struct {
	Latest saleEvent
	Exact  int
	Heard  hearing
	Failed string
}

// galleryCommand is the process of a gallery: it opens the sockets and answers questions, one a line, until there are no more.
type galleryCommand struct {
	At    string `arg:"" help:"Where the gateway is."`
	Sale  string `arg:"" help:"The id of the sale."`
	Count int    `arg:"" help:"How many sockets."`
}

// Run watches the sale.
func (c galleryCommand) Run(ctx context.Context, p *process) error {
	to, from := json.NewEncoder(p.stdout), json.NewDecoder(os.Stdin)
	a, err := watchSale(ctx, c.At, c.Sale, c.Count)
	if err != nil {
		return errors.Join(err, to.Encode(galleryAnswer{Failed: err.Error()}))
	}
	defer a.leave()
	if err := to.Encode(galleryAnswer{}); err != nil {
		return err
	}
	for {
		var ask galleryAsk
		if err := from.Decode(&ask); err != nil {
			return nil // whoever asked is gone
		}
		var says galleryAnswer
		switch {
		case ask.Latest:
			says.Latest = a.latest()
		case ask.Exact != nil:
			says.Exact = a.exact(*ask.Exact)
		case ask.Heard:
			says.Heard = a.heard()
		}
		if err := to.Encode(says); err != nil {
			return err
		}
	}
}

// openGallery starts the process and returns when all of the audience have heard how the sale stands.
func openGallery(base, sale string, count int) (*gallery, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "bench", "gallery", base, sale, strconv.Itoa(count))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	g := &gallery{cmd: cmd, count: count, hang: in, to: json.NewEncoder(in), from: json.NewDecoder(out)}
	var opened galleryAnswer
	err = g.from.Decode(&opened)
	if opened.Failed != "" {
		err = errors.New(opened.Failed)
	}
	if err != nil {
		g.leave()
		return nil, fmt.Errorf("the process of the watchers: %w", err)
	}
	return g, nil
}

func (g *gallery) ask(q galleryAsk) (says galleryAnswer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = g.to.Encode(q)
	}
	if g.failed == nil {
		g.failed = g.from.Decode(&says)
	}
	if g.failed != nil {
		says.Heard.Failed = fmt.Sprintf("the process of the watchers: %v", g.failed)
	}
	return says
}

func (g *gallery) size() int                 { return g.count }
func (g *gallery) latest() saleEvent         { return g.ask(galleryAsk{Latest: true}).Latest }
func (g *gallery) exact(is saleCounts) int   { return g.ask(galleryAsk{Exact: &is}).Exact }
func (g *gallery) heard() hearing            { return g.ask(galleryAsk{Heard: true}).Heard }
func (g *gallery) used() (cpu time.Duration) { return cpuTime(g.cmd.Process.Pid) }

func (g *gallery) leave() {
	g.hang.Close()
	late := time.AfterFunc(longestStop, func() { g.cmd.Process.Kill() })
	g.cmd.Wait()
	late.Stop()
}
