package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
)

// Incremental runs an operation with @defer and passes each part as it is ready: first {data, hasNext}, then
// {incremental, hasNext}, in the dialect of the specification's draft of August 2022. more is false for the last. part is
// called by one goroutine at a time; when it fails, the rest is given up.
func (e *Engine) Incremental(ctx context.Context, op *Operation, part func(payload []byte, more bool) error) error {
	if !op.Deferred() {
		return errors.New("engine: Incremental runs operations with @defer")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rc := e.context(ctx, op)
	w := &partWriter{ctx: ctx, rc: rc, told: map[*resolve.SubgraphError]bool{}, plan: op.document.plan, part: part, pending: map[string]deferred{}, stop: cancel}
	_, err := contained(e.log, func() (struct{}, error) {
		_, err := e.resolver.ResolveGraphQLDeferResponse(rc, op.document.plan.incremental, w)
		return struct{}{}, err
	})
	switch {
	case w.failed != nil:
		return w.failed
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return nil
	}
	e.log.ErrorContext(ctx, "gateway: execution failed", "operation", op.Name(), "error", err)
	return internal()
}

// A deferred part is one that was announced and is still to come.
type deferred struct {
	Path  []any  `json:"path"`
	Label string `json:"label"`
}

// A frame is what the library writes: the specification's newer dialect, in which parts are announced, then referred to.
type frame struct {
	Data    json.RawMessage `json:"data"`
	Errors  []Error         `json:"errors"`
	Pending []struct {
		ID string `json:"id"`
		deferred
	} `json:"pending"`
	Incremental []struct {
		ID      string          `json:"id"`
		Data    json.RawMessage `json:"data"`
		SubPath []any           `json:"subPath"`
		Errors  []Error         `json:"errors"`
	} `json:"incremental"`
	Completed []struct {
		ID     string  `json:"id"`
		Errors []Error `json:"errors"`
	} `json:"completed"`
	HasNext bool `json:"hasNext"`
}

// A patch is a deferred part in the dialect that clients read.
type patch struct {
	Data   json.RawMessage `json:"data"`
	Path   []any           `json:"path"`
	Label  string          `json:"label,omitempty"`
	Errors Errors          `json:"errors,omitempty"`
}

// A partWriter translates the library's frames and hands them on, one at a time.
type partWriter struct {
	ctx     context.Context
	rc      *resolve.Context
	told    map[*resolve.SubgraphError]bool // that earlier frames were about
	plan    *executable
	part    func([]byte, bool) error
	stop    context.CancelFunc
	buffer  bytes.Buffer
	begun   bool
	pending map[string]deferred
	failed  error
}

func (w *partWriter) Write(p []byte) (int, error) { return w.buffer.Write(p) }

// Complete has nothing to do: the last frame says that it is the last.
func (w *partWriter) Complete() {}

// Flush passes on the frame written since the last.
func (w *partWriter) Flush() error {
	if err := cmp.Or(w.failed, w.ctx.Err()); err != nil {
		return err
	}
	if w.failed = w.flush(); w.failed != nil {
		w.stop()
	}
	return w.failed
}

func (w *partWriter) flush() error {
	defer w.buffer.Reset()
	var f frame
	if err := json.Unmarshal(w.buffer.Bytes(), &f); err != nil {
		return internal()
	}
	news := w.news()
	for _, p := range f.Pending {
		w.pending[p.ID] = p.deferred
	}
	var (
		out []byte
		err error
	)
	if !w.begun {
		w.begun = true
		out, err = json.Marshal(struct {
			Errors  Errors          `json:"errors,omitempty"`
			Data    json.RawMessage `json:"data"`
			HasNext bool            `json:"hasNext"`
		}{w.plan.translate(f.Errors, f.Data), f.Data, f.HasNext})
	} else {
		patches := w.patches(f, news)
		if len(patches) == 0 && f.HasNext {
			return nil
		}
		out, err = json.Marshal(struct {
			Incremental []patch `json:"incremental,omitempty"`
			HasNext     bool    `json:"hasNext"`
		}{patches, f.HasNext})
	}
	if err != nil {
		return err
	}
	return w.part(out, f.HasNext)
}

func (w *partWriter) patches(f frame, news Errors) []patch {
	var out []patch
	for _, i := range f.Incremental {
		d := w.pending[i.ID]
		out = append(out, patch{
			Data: i.Data, Path: numbers(slices.Concat(d.Path, i.SubPath)), Label: d.Label, Errors: w.plan.translate(i.Errors, nil),
		})
	}
	for _, c := range f.Completed {
		d := w.pending[c.ID]
		es := w.plan.translate(c.Errors, nil)
		if len(f.Incremental) == 0 && len(es) == 0 {
			// The library forgets why a part came to nothing when the null went up beyond it.
			for _, e := range news {
				e.Path = numbers(d.Path)
				es = append(es, e)
			}
		}
		if len(es) > 0 {
			out = append(out, patch{Data: json.RawMessage("null"), Path: numbers(d.Path), Label: d.Label, Errors: es})
		}
		delete(w.pending, c.ID)
	}
	return out
}

// news lists what subgraphs reported since the last frame.
func (w *partWriter) news() Errors {
	var out Errors
	var walk func(error)
	walk = func(err error) {
		switch err := err.(type) {
		case *resolve.SubgraphError:
			if w.told[err] {
				return
			}
			w.told[err] = true
			for _, d := range err.DownstreamErrors {
				shown := map[string]any{"code": string(d.Extensions.GetStringBytes("code"))}
				if shown["code"] == CodeSubgraph {
					shown["subgraph"] = err.DataSourceInfo.Name
				}
				out = append(out, Error{Message: d.Message, Extensions: shown})
			}
		case interface{ Unwrap() []error }:
			for _, e := range err.Unwrap() {
				walk(e)
			}
		}
	}
	walk(w.rc.SubgraphErrors())
	return out
}

// numbers makes the indices of a decoded path whole numbers, and no path an empty one.
func numbers(path []any) []any {
	out := make([]any, len(path))
	for i, p := range path {
		if n, ok := p.(float64); ok {
			p = int(n)
		}
		out[i] = p
	}
	return out
}
