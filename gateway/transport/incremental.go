package transport

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
)

// deferSpec is the dialect of @defer that Apollo Client, urql and Relay read: the specification's draft of 24 August 2022.
const deferSpec = "20220824"

// parts is an answer as multipart/mixed: the first part holds what is ready, the following ones what was deferred.
type parts struct {
	w    io.Writer
	rc   *http.ResponseController
	wait time.Duration
	any  bool // a part was written
	done bool // the closing boundary was written
}

func newParts(w http.ResponseWriter, wait time.Duration) *parts {
	w.Header().Set("Content-Type", `multipart/mixed; boundary="-"; deferSpec=`+deferSpec)
	w.Header().Set("X-Accel-Buffering", "no")
	return &parts{w: w, rc: http.NewResponseController(w), wait: wait}
}

// next writes a part and the boundary behind it: readers take a part for whole only when they see what follows.
func (p *parts) next(result []byte, more bool) error {
	if p.done {
		return ErrGone
	}
	p.rc.SetWriteDeadline(time.Now().Add(p.wait))
	part := make([]byte, 0, len(result)+80)
	if !p.any {
		part = append(part, "\r\n---\r\n"...)
	}
	part = append(part, "Content-Type: application/json; charset=utf-8\r\n\r\n"...)
	part = append(part, result...)
	part = append(part, "\r\n---"...)
	if !more {
		part = append(part, "--"...)
	}
	part = append(part, "\r\n"...)
	p.any, p.done = true, !more
	if _, err := p.w.Write(part); err != nil {
		return ErrGone
	}
	if p.rc.Flush() != nil {
		return ErrGone
	}
	return nil
}

func (p *parts) fail(errs engine.Errors) {
	if !p.any {
		p.next(encodeErrors(errs), false)
		return
	}
	type patch struct {
		Errors engine.Errors `json:"errors"`
		Path   []any         `json:"path"`
	}
	last, err := json.Marshal(struct {
		Incremental []patch `json:"incremental"`
		HasNext     bool    `json:"hasNext"`
	}{[]patch{{errs, []any{}}}, false})
	if err == nil {
		p.next(last, false)
	}
}

// complete makes sure that the body ends where its reader expects it to.
func (p *parts) complete() {
	if p.any && !p.done {
		p.next([]byte(`{"hasNext":false}`), false)
	}
	p.close()
}

func (p *parts) close() { p.rc.SetWriteDeadline(time.Time{}) }
