package typesense

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
)

// Bounds of request bodies.
const (
	maxBody   = 16 << 20
	maxImport = 1 << 30 // read line by line
)

// errForbidden is the refusal of a request without a key, with a wrong one, and with one that may not do this.
var errForbidden = refuse(http.StatusUnauthorized, "Forbidden - a valid `x-typesense-api-key` header must be sent.")

// call is one request on its way through a handler.
type call struct {
	*http.Request
	w      http.ResponseWriter
	access access
}

// handler answers a call with a status and a value to write as JSON; a nil value means that it has written itself.
type handler func(c *call) (status int, value any, err *apiError)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, action string, limit int64, h handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
			s.serve(&call{Request: r, w: w}, action, h)
		})
	}
	for _, r := range []struct {
		pattern, action string
		h               handler
	}{
		{"GET /health", "", s.health},
		{"GET /debug", "debug:list", s.debug},
		{"GET /stats.json", "stats.json:list", s.stats},
		{"GET /metrics.json", "metrics.json:list", s.metrics},

		{"GET /collections", "collections:list", s.listCollections},
		{"POST /collections", "collections:create", s.createCollection},
		{"GET /collections/{collection}", "collections:get", s.getCollection},
		{"PATCH /collections/{collection}", "collections:update", s.alterCollection},
		{"DELETE /collections/{collection}", "collections:delete", s.dropCollection},

		{"GET /aliases", "aliases:list", s.listAliases},
		{"GET /aliases/{alias}", "aliases:get", s.getAlias},
		{"PUT /aliases/{alias}", "aliases:upsert", s.putAlias},
		{"DELETE /aliases/{alias}", "aliases:delete", s.deleteAlias},

		{"POST /collections/{collection}/documents", "documents:create", s.writeDocument},
		{"PATCH /collections/{collection}/documents", "documents:update", s.updateDocuments},
		{"DELETE /collections/{collection}/documents", "documents:delete", s.deleteDocuments},
		{"GET /collections/{collection}/documents/export", "documents:export", s.exportDocuments},
		{"GET /collections/{collection}/documents/search", "documents:search", s.searchCollection},
		{"GET /collections/{collection}/documents/{id}", "documents:get", s.getDocument},
		{"PATCH /collections/{collection}/documents/{id}", "documents:update", s.patchDocument},
		{"DELETE /collections/{collection}/documents/{id}", "documents:delete", s.deleteDocument},
		{"POST /multi_search", "", s.multiSearch},

		{"GET /keys", "keys:list", s.listKeys},
		{"POST /keys", "keys:create", s.createKey},
		{"GET /keys/{id}", "keys:get", s.getKey},
		{"DELETE /keys/{id}", "keys:delete", s.deleteKey},
	} {
		handle(r.pattern, r.action, maxBody, r.h)
	}
	handle("POST /collections/{collection}/documents/import", "documents:import", maxImport, s.importDocuments)
	for _, set := range s.namedSets() {
		for _, r := range set.routes() {
			handle(r.pattern, r.action, maxBody, r.h)
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeError(w, notFound("Not Found")) })
	return mux
}

// serve checks the key, runs the handler and writes what it returns. A panic costs one request, not the process.
func (s *Server) serve(c *call, action string, h handler) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("typesense: a request panicked", "path", c.URL.Path, "panic", v, "stack", string(debug.Stack()))
			writeError(c.w, refuse(http.StatusInternalServerError, "Internal error."))
		}
	}()
	if c.URL.Path != "/health" && !s.admit(c, action) {
		writeError(c.w, errForbidden)
		return
	}
	status, value, err := h(c)
	switch {
	case err != nil:
		writeError(c.w, err)
	case value != nil:
		writeJSON(c.w, status, value)
	}
}

// admit finds the call's key and says whether it may do this. An empty action is for the handler to check.
func (s *Server) admit(c *call, action string) bool {
	key := c.Header.Get("X-Typesense-Api-Key")
	if key == "" {
		key = c.URL.Query().Get("x-typesense-api-key")
	}
	var ok bool
	if c.access, ok = s.authenticate(key); !ok {
		return false
	}
	return action == "" || c.access.allows(action, c.PathValue("collection"))
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	b := writeObject(value)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b) // the client has gone away if this fails
}

func writeError(w http.ResponseWriter, err *apiError) {
	writeJSON(w, err.Status, map[string]string{"message": err.Message})
}

// body reads the whole request body.
func (c *call) body() ([]byte, *apiError) {
	b, err := io.ReadAll(c.Body)
	return b, bodyError(err)
}

func bodyError(err error) *apiError {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "Request body is larger than %d bytes.", tooLarge.Limit)
	}
	return badRequest("The request body could not be read.")
}

// object reads the request body as one JSON object.
func (c *call) object() (map[string]any, *apiError) {
	b, refusal := c.body()
	if refusal != nil {
		return nil, refusal
	}
	obj, err := readObject(b)
	if err != nil {
		return nil, badJSON(b, err)
	}
	return obj, nil
}

// query returns a parameter of the URL.
func (c *call) query(name string) string { return c.URL.Query().Get(name) }

// collection finds the collection that the path names.
func (s *Server) collection(c *call) (*collection, *apiError) {
	found, ok := s.catalog.now.Load().collection(c.PathValue("collection"))
	if !ok {
		return nil, notFound("Collection not found")
	}
	return found, nil
}

func (s *Server) health(*call) (int, any, *apiError) {
	return http.StatusOK, map[string]bool{"ok": true}, nil
}

func (s *Server) debug(*call) (int, any, *apiError) {
	return http.StatusOK, map[string]any{"state": 1, "version": "30.0"}, nil
}

// raw is JSON that is sent as it is.
func raw(b []byte) json.RawMessage { return json.RawMessage(b) }
