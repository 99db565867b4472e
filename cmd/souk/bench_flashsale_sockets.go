package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

const (
	rehearsals   = 8
	betweenTimes = 300 * time.Millisecond // longer than the pace of counts, so that each is told
)

// saleSockets is what the sockets of a sale take, before and while it sells.
type saleSockets struct {
	Opening  float64 `json:"openSeconds"` // until each had heard how the sale stands
	OpenCPU  float64 `json:"openSoukMicrosEach"`
	Each     float64 `json:"residentKBEach"`
	EachSold float64 `json:"residentKBEachAtTheEnd"` // with whatever else the shop took meanwhile
	Quiet    quiet   `json:"quiet"`

	Frames    int     `json:"frames"` // while it sold
	PerSecond float64 `json:"framesPerSecond"`
	Counts    float64 `json:"countsPerSecondToEach"`
}

// quiet is what it takes to tell everybody a count while nobody else wants anything.
type quiet struct {
	Frames   int     `json:"frames"`
	Lag      latency `json:"lag"`
	Souk     float64 `json:"soukMicrosAFrame"`
	Watchers float64 `json:"watchersMicrosAFrame"`
}

// seat fills the audience and notes what that takes of the gateway's process. In a shop of several processes it is one of its own.
func (m *bazaar) seat(ctx context.Context, sale string, count int, s *saleSockets) (audience, error) {
	if !m.apart {
		return watchSale(ctx, m.base, sale, count)
	}
	m.doorKB = m.residentKB()
	began, before := time.Now(), m.cpu()
	g, err := openGallery(m.base, sale, count)
	if err != nil {
		return nil, err
	}
	m.watchers = g
	s.OpenCPU = microseconds(m.cpu().minus(before).shop) / float64(count)
	s.Opening = time.Since(began).Seconds()
	s.Each = (m.residentKB() - m.doorKB) / float64(count)
	return g, nil
}

// residentKB is the memory of the process with the gateway.
func (m *bazaar) residentKB() float64 {
	if len(m.parts) == 0 {
		return 0
	}
	mb, err := residentMB(m.parts[len(m.parts)-1].Process.Pid, "status", "VmRSS")
	if err != nil {
		return 0
	}
	return mb * 1024
}

// rehearse books a unit and gives it back, again and again, with nobody else about.
func (m *bazaar) rehearse(ctx context.Context, crowd *crowd, a audience) (quiet, error) {
	who := crowd.people[len(crowd.people)-1]
	a.heard()
	before := m.cpu()
	for range rehearsals / 2 {
		outcome, id, _ := crowd.ask(ctx, who, newKey())
		if outcome != gotUnit {
			return quiet{}, fmt.Errorf("the rehearsal's booking: %s", outcome)
		}
		if err := pause(ctx, betweenTimes); err != nil {
			return quiet{}, err
		}
		_, text, err := crowd.send(ctx, who.token, `mutation ($id: ID!) { flashSaleRelease(input: {bookingId: $id}) { userErrors { code message } } }`, values{"id": id})
		if err != nil {
			return quiet{}, fmt.Errorf("the rehearsal gives back: %w: %s", err, text)
		}
		if err := pause(ctx, betweenTimes); err != nil {
			return quiet{}, err
		}
	}
	used, h := m.cpu().minus(before), a.heard()
	frames := float64(max(h.Frames, 1))
	return quiet{Frames: h.Frames, Lag: h.Lag, Souk: microseconds(used.shop) / frames, Watchers: microseconds(used.watchers) / frames}, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// mayOpen tells whether processes may have as many sockets open. Go raises the limit as far as it may be raised.
func mayOpen(sockets int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if needed := uint64(sockets + otherFiles); uint64(limit.Max) < needed {
		return fmt.Errorf("--watchers %d needs %d open files a process, and %d is the limit: raise it (ulimit -Hn, LimitNOFILE=)", sockets, needed, limit.Max)
	}
	return nil
}
