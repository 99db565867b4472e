package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/errorcodes"
)

var errorsFirst = []byte(`{"errors":`)

// finish rewrites the errors of the library's response for clients: each with a code, a path into the answer, and no word
// about what is behind the graph. A response without errors, the common one, passes untouched.
// Errors reported elsewhere go first.
func (e *Engine) finish(op *Operation, body []byte, reported ...Error) (answer, error) {
	if !bytes.HasPrefix(body, errorsFirst) && len(reported) == 0 {
		return answer{body: body}, nil
	}
	var r struct {
		Errors []Error         `json:"errors"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return answer{}, err
	}
	es := op.document.plan.translate(slices.Concat(reported, r.Errors), r.Data)
	return answer{body: response(es, r.Data), errors: es}, nil
}

// failed is the response when there is nothing to return but an error.
func failed(es Errors) answer { return answer{body: response(es, []byte("null")), errors: es} }

// response writes the errors, then the data as it is: encoding it anew would take time and change its text.
func response(es Errors, data []byte) []byte {
	out := []byte("{")
	if len(es) > 0 {
		list, _ := json.Marshal(es)
		out = append(append(append(out, `"errors":`...), list...), ',')
	}
	return append(append(append(out, `"data":`...), data...), '}')
}

// What the library says about subgraphs; the tests of failures hold it to these words.
var (
	fetchFailed = regexp.MustCompile(`^Failed to fetch from Subgraph '([^']*)'(?: at Path '([^']*)')?`)
	denied      = regexp.MustCompile(`Reason: (` + CodeUnauthenticated + `|` + CodeForbidden + `)\.$`)
	nullFound   = "Cannot return null for non-nullable field"
)

// mostErrors is how many errors one response reports; a guarded field in a long list could make one of each item.
const mostErrors = 100

func (x *executable) translate(found []Error, data json.RawMessage) Errors {
	var out, nulls Errors
	x.locate(found, data)
	refused := map[string]bool{} // where the gateway itself said no
	for _, f := range found {
		if f.Code() == errorcodes.UnauthorizedFieldOrType {
			refused[fmt.Sprint(x.clean(f.Path))] = true
		}
	}
	for _, f := range found {
		if c := f.Code(); (c == CodeUnauthenticated || c == CodeForbidden) && refused[fmt.Sprint(x.clean(f.Path))] {
			continue // the subgraph says so too of a field that came along with others
		}
		t := x.translated(f, data)
		if strings.HasPrefix(f.Message, nullFound) {
			nulls = append(nulls, t...)
			continue
		}
		out = append(out, t...)
	}
	more := max(0, len(out)-mostErrors)
	out = out[:len(out)-more]
	// A null where none may be is news only when no other error explains it.
	for _, n := range nulls {
		switch {
		case slices.ContainsFunc(out, func(e Error) bool { return explains(e.Path, n.Path) }):
		case len(out) == mostErrors:
			more++
		default:
			out = append(out, n)
		}
	}
	if more > 0 {
		out = append(out, failure(CodeTooManyErrors, fmt.Sprintf("%d more errors are not shown", more))...)
	}
	return out
}

func (x *executable) translated(e Error, data json.RawMessage) Errors {
	code := e.Code()
	e.Locations = nil
	e.Path = x.clean(e.Path)
	switch {
	case code == errorcodes.UnauthorizedFieldOrType:
		code = CodeForbidden
		if m := denied.FindStringSubmatch(e.Message); m != nil {
			code = m[1]
		}
		e.Message = mayNot
		if code == CodeUnauthenticated {
			e.Message = signIn
		}
	case code == "" && fetchFailed.MatchString(e.Message):
		m := fetchFailed.FindStringSubmatch(e.Message)
		if m[2] != "" {
			return unavailable(m[1], x.clean(pathOf(m[2])))
		}
		var out Errors
		for _, key := range x.missing(m[1], data) {
			out = append(out, unavailable(m[1], []any{key})...)
		}
		if out == nil {
			out = unavailable(m[1], nil)
		}
		return out
	case code == "" && strings.HasPrefix(e.Message, nullFound):
		code, e.Message = CodeUnexpectedNull, "there is no value where the schema promises one"
	case code == "" || code == errorcodes.InvalidGraphql || code == errorcodes.InternalServerError && strings.HasPrefix(e.Message, "Enum "):
		code, e.Message = CodeUnexpectedValue, "a subgraph returned a value that does not fit the schema"
	}
	if e.Extensions == nil {
		e.Extensions = map[string]any{}
	}
	e.Extensions["code"] = code
	return Errors{e}
}

// missing lists the response keys of root fields that a subgraph owes and that are null.
func (x *executable) missing(subgraph string, data json.RawMessage) []string {
	var have map[string]json.RawMessage
	_ = json.Unmarshal(data, &have)
	var out []string
	for _, f := range x.response.Data.Fields {
		if f.Info == nil || !slices.Contains(f.Info.Source.Names, subgraph) {
			continue
		}
		if v, ok := have[string(f.Name)]; !ok || string(v) == "null" {
			out = append(out, string(f.Name))
		}
	}
	return out
}
