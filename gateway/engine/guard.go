package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/datasource/httpclient"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"

	"github.com/souk-shop/souk/gateway/upstream"
)

// A guard stands before a subgraph and turns whatever goes wrong there (refused, late, cut off, not 2xx, a panic of ours)
// into a GraphQL error that names the subgraph and the place in the answer, and nothing else.
type guard struct {
	resolve.DataSource
	subgraph string
	reads    bool   // and changes nothing, so that it may be sent again
	failure  []byte // a response that says so
	log      *slog.Logger
}

// Load asks the subgraph. It does not fail: a response without data is how it says that there is none.
func (g *guard) Load(ctx context.Context, headers http.Header, input []byte) (data []byte, _ error) {
	ctx, status := httpclient.InjectResponseContext(ctx)
	ctx = upstream.Named(ctx, g.subgraph)
	if g.reads {
		ctx = upstream.Reading(ctx)
	}
	data, err := g.load(ctx, headers, input)
	switch {
	case err != nil:
	case status.StatusCode != 0 && (status.StatusCode < 200 || status.StatusCode > 299):
		err = fmt.Errorf("status %d", status.StatusCode)
	case len(data) == 0 || !startsObject(data):
		err = errors.New("the response is no JSON object")
	default:
		return data, nil
	}
	if !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, upstream.ErrOpen) { // a caller who left is no news, nor is what is known to be down
		g.log.WarnContext(ctx, "gateway: subgraph failed", "subgraph", g.subgraph, "error", err)
	}
	return g.failure, nil
}

func (g *guard) load(ctx context.Context, headers http.Header, input []byte) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			g.log.Error("gateway: panic contained", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	return g.DataSource.Load(ctx, headers, input)
}

func startsObject(data []byte) bool {
	for _, b := range data {
		switch b {
		case ' ', '\t', '\n', '\r':
			continue
		}
		return b == '{'
	}
	return false
}

// guardFetches puts a guard before every fetch of a plan.
func (x *executable) guardFetches() {
	x.guardTree(x.response.Fetches)
	if x.incremental != nil {
		x.guardDeferred(x.incremental.DeferTree)
	}
}

func (x *executable) guardDeferred(n *resolve.DeferTreeNode) {
	if n == nil {
		return
	}
	if n.Item != nil {
		x.guardTree(n.Item.Fetches)
	}
	for _, c := range n.ChildNodes {
		x.guardDeferred(c)
	}
}

func (x *executable) guardTree(n *resolve.FetchTreeNode) {
	if n == nil {
		return
	}
	if n.Item != nil {
		switch f := n.Item.Fetch.(type) {
		case *resolve.SingleFetch:
			reads := f.Info != nil && f.Info.OperationType == ast.OperationTypeQuery
			f.DataSource = x.guarded(f.DataSource, f.Info, reads, x.rootKeys(f))
		case *resolve.EntityFetch:
			f.DataSource = x.guarded(f.DataSource, f.Info, true, []string{"_entities"})
		case *resolve.BatchEntityFetch:
			f.DataSource = x.guarded(f.DataSource, f.Info, true, []string{"_entities"})
		case *resolve.MultiEntityFetch:
			var aliases []string
			for _, e := range f.Input.Entries {
				aliases = append(aliases, e.Alias)
			}
			f.DataSource = x.guarded(f.DataSource, f.Info, true, aliases)
		}
	}
	for _, c := range n.ChildNodes {
		x.guardTree(c)
	}
}

// rootKeys lists the response keys at the top of an answer that a fetch brings: those of its subgraph's fields or, of
// mutations, which have a fetch each, the one in its turn.
func (x *executable) rootKeys(fetch *resolve.SingleFetch) []string {
	if fetch.Info == nil {
		return nil
	}
	if fetch.Info.OperationType == ast.OperationTypeMutation {
		if keys := fetchedKeys(x.response.Data); fetch.FetchID < len(keys) {
			return keys[fetch.FetchID : fetch.FetchID+1]
		}
	}
	var keys []string
	for _, f := range x.response.Data.Fields {
		if f.Info != nil && slices.Contains(f.Info.Source.IDs, fetch.Info.DataSourceID) {
			keys = append(keys, string(f.Name))
		}
	}
	return keys
}

func (x *executable) guarded(source resolve.DataSource, info *resolve.FetchInfo, reads bool, roots []string) resolve.DataSource {
	if info == nil || resolve.IsIntrospectionDataSource(info.DataSourceID) {
		return source
	}
	var es Errors
	for _, r := range roots {
		es = append(es, unavailable(info.DataSourceName, []any{r})...)
	}
	if len(es) == 0 {
		es = unavailable(info.DataSourceName, nil)
	}
	body, _ := json.Marshal(map[string]any{"data": nil, "errors": es})
	return &guard{DataSource: source, subgraph: info.DataSourceName, reads: reads, failure: body, log: x.log}
}

func unavailable(subgraph string, path []any) Errors {
	return Errors{{
		Message:    fmt.Sprintf("the subgraph %q did not answer", subgraph),
		Path:       path,
		Extensions: map[string]any{"code": CodeSubgraph, "subgraph": subgraph},
	}}
}
