package subgraph

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// post answers one operation with one JSON document, as gqlgen's transport of that name does. It sends the data as resolvers have
// written it, where gqlgen encodes each answer as a whole: every byte of it once more.
type post struct{}

// Supports takes what is sent as JSON; streams are another transport's, asked before.
func (post) Supports(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return r.Method == http.MethodPost && strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// Do answers the request.
func (post) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx, invalid := r.Context(), http.StatusUnprocessableEntity
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(r.Header.Get("Accept"), "application/graphql-response+json") {
		w.Header().Set("Content-Type", "application/graphql-response+json")
		invalid = http.StatusBadRequest
	}
	params, err := readParams(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		write(w, exec.DispatchError(ctx, gqlerror.List{gqlerror.Errorf("the request cannot be read: %v", err)}))
		return
	}
	op, errs := exec.CreateOperationContext(ctx, params)
	if errs != nil {
		if errcode.GetErrorKind(errs) == errcode.KindProtocol {
			w.WriteHeader(invalid)
		}
		write(w, exec.DispatchError(graphql.WithOperationContext(ctx, op), errs))
		return
	}
	respond, ctx := exec.DispatchOperation(ctx, op)
	write(w, respond(ctx))
}

// readParams decodes a request's body, with numbers as they are written.
func readParams(r *http.Request) (*graphql.RawParams, error) {
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(min(r.ContentLength, 1<<20)) + bytes.MinRead)
	}
	params := &graphql.RawParams{Headers: r.Header, ReadTime: graphql.TraceTiming{Start: graphql.Now()}}
	if _, err := body.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	var sent struct {
		Query         string          `json:"query"`
		OperationName string          `json:"operationName"`
		Variables     json.RawMessage `json:"variables"`
		Extensions    map[string]any  `json:"extensions"`
	}
	if err := json.Unmarshal(body.Bytes(), &sent); err != nil {
		return nil, err
	}
	params.Query, params.OperationName, params.Extensions = sent.Query, sent.OperationName, sent.Extensions
	if len(sent.Variables) > 0 {
		numbers := json.NewDecoder(bytes.NewReader(sent.Variables))
		numbers.UseNumber()
		if err := numbers.Decode(&params.Variables); err != nil {
			return nil, err
		}
	}
	params.ReadTime.End = graphql.Now()
	return params, nil
}

// write sends a response; one of data alone, as most are, without encoding it anew.
func write(w io.Writer, r *graphql.Response) {
	if r != nil && len(r.Data) > 0 && r.Errors == nil && r.Extensions == nil && r.Label == "" && r.Path == nil && r.HasNext == nil {
		out := make([]byte, 0, len(r.Data)+len(`{"data":}`))
		w.Write(append(append(append(out, `{"data":`...), r.Data...), '}'))
		return
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // the server answers INTERNAL
	}
	w.Write(text)
}
