package engine

import (
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"

	"github.com/souk-shop/souk/gateway/supergraph"
)

// What a caller is told of a field that is not for everybody.
const (
	signIn = "sign in to use this field"
	mayNot = "you may not use this field"
)

// access judges, before anything is fetched, which of an operation's guarded fields a caller may see.
type access struct {
	rules  supergraph.Rules
	caller caller
}

// AuthorizeFields decides on each coordinate; the reason of a refusal is the code that the client will see.
func (a access) AuthorizeFields(_ *resolve.Context, coordinates []resolve.GraphCoordinate) ([]resolve.AuthorizationDecision, error) {
	out := make([]resolve.AuthorizationDecision, len(coordinates))
	for i, c := range coordinates {
		switch a.judge(c.TypeName, c.FieldName) {
		case supergraph.Allowed:
			out[i].Allowed = true
		case supergraph.Unauthenticated:
			out[i].Reason = CodeUnauthenticated
		default:
			out[i].Reason = CodeForbidden
		}
	}
	return out, nil
}

func (a access) judge(typeName, fieldName string) supergraph.Verdict {
	return a.rules[supergraph.Coordinate{Type: typeName, Field: fieldName}].Judge(a.caller.viewer.SignedIn(), a.caller.viewer.Has)
}
