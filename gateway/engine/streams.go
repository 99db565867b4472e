package engine

import (
	"errors"
	"net/http"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/datasource/graphql_datasource"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
)

// streams opens subscriptions at subgraphs over server-sent events.
type streams struct{ client *http.Client }

func newStreams(c *http.Client) *streams { return &streams{client: c} }

func (s *streams) Subscribe(ctx *resolve.Context, o graphql_datasource.GraphQLSubscriptionOptions, u resolve.SubscriptionUpdater) error {
	return errors.New("not yet")
}
