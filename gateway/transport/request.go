package transport

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/engine"
)

// decode reads the GraphQL request out of an HTTP request, or says what is wrong with it.
func (h *Handler) decode(w http.ResponseWriter, r *http.Request) (engine.Request, engine.Errors) {
	switch r.Method {
	case http.MethodGet:
		return decodeURL(r.URL.RawQuery)
	case http.MethodPost:
		body, errs := h.readBody(w, r)
		if errs != nil {
			return engine.Request{}, errs
		}
		return decodeJSON(body)
	}
	return engine.Request{}, refusal(codeMethod, "GraphQL is asked by POST or GET")
}

// preflights are request headers that no page can send to a foreign site without the browser asking that site first.
var preflights = []string{"Souk-Preflight", "Apollo-Require-Preflight", "X-Apollo-Operation-Name", "GraphQL-Require-Preflight", "Authorization"}

// preflighted tells whether a browser would have asked us before sending the request on behalf of a foreign page.
//
// A POST must be application/json, which is such a request by itself. Of a GET, browsers say where it comes from (Sec-Fetch-Site,
// Origin): from elsewhere it needs one of the preflight headers, so an image tag or a form on a foreign page never runs an operation
// here. What says neither is no browser, and asks for itself.
func preflighted(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		if r.Header.Get("Origin") == "" {
			return true
		}
	}
	for _, name := range preflights {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

// readBody returns a JSON body, decompressed. The limit holds for what arrives and for what it becomes.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, engine.Errors) {
	rc := http.NewResponseController(w)
	rc.SetReadDeadline(time.Now().Add(h.ReadWait)) // stays for a body that is refused: the server reads some of it still
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, refusal(codeMediaType, "the request's Content-Type must be application/json")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return nil, refusal(codeMediaType, "the request's charset must be utf-8")
	}
	var from io.Reader = http.MaxBytesReader(w, r.Body, h.Body)
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		if from, err = gzip.NewReader(from); err != nil {
			return nil, bodyError(err)
		}
	default:
		w.Header().Set("Accept-Encoding", "gzip")
		return nil, refusal(codeMediaType, "the request's Content-Encoding must be gzip or none")
	}
	body, err := io.ReadAll(io.LimitReader(from, h.Body+1))
	if err != nil {
		return nil, bodyError(err)
	}
	if int64(len(body)) > h.Body {
		return nil, bodyError(&http.MaxBytesError{Limit: h.Body})
	}
	rc.SetReadDeadline(time.Time{}) // from here on the server reads to notice who hangs up
	return body, nil
}

func bodyError(err error) engine.Errors {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refusal(codeTooLarge, "the request body is too large")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refusal(codeTooSlow, "the request body took too long")
	}
	return refusal(codeBadRequest, "the request body could not be read to its end")
}

func decodeURL(raw string) (engine.Request, engine.Errors) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return engine.Request{}, refusal(codeBadRequest, "the query string is not properly encoded")
	}
	return checked(engine.Request{
		Query:         values.Get("query"),
		DocumentID:    values.Get("documentId"),
		OperationName: values.Get("operationName"),
		Variables:     json.RawMessage(values.Get("variables")),
		Extensions:    json.RawMessage(values.Get("extensions")),
	})
}

func decodeJSON(body []byte) (engine.Request, engine.Errors) {
	if !utf8.Valid(body) {
		return engine.Request{}, refusal(codeBadRequest, "the request is not UTF-8")
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return engine.Request{}, refusal(codeBadRequest, "batches are not served: send one operation a request")
	}
	var r engine.Request
	if err := json.Unmarshal(body, &r); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return engine.Request{}, refusal(codeBadRequest, wrong.Field+" must be a string")
		}
		return engine.Request{}, refusal(codeBadRequest, "the request must be a JSON object with a query")
	}
	return checked(r)
}

// checked refuses parameters of the wrong shape and drops those that are null.
func checked(r engine.Request) (engine.Request, engine.Errors) {
	for _, p := range []struct {
		name string
		raw  *json.RawMessage
	}{{"variables", &r.Variables}, {"extensions", &r.Extensions}} {
		raw := bytes.TrimSpace(*p.raw)
		switch {
		case len(raw) == 0 || string(raw) == "null":
			*p.raw = nil
		case raw[0] != '{' || !json.Valid(raw):
			return r, refusal(codeBadRequest, p.name+" must be a JSON object")
		}
	}
	if strings.TrimSpace(r.Query) == "" && r.DocumentID == "" && !bytes.Contains(r.Extensions, []byte(`"persistedQuery"`)) {
		return r, refusal(codeBadRequest, "query is missing: send the text of a GraphQL operation")
	}
	return r, nil
}
