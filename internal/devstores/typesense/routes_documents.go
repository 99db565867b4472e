package typesense

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
)

func (s *Server) writeDocument(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	act, err := parseAction(c.query("action"))
	if err != nil {
		return 0, nil, err
	}
	policy, err := parseDirty(c.query("dirty_values"))
	if err != nil {
		return 0, nil, err
	}
	doc, err := c.object()
	if err != nil {
		return 0, nil, err
	}
	w, err := col.put(act, doc, policy)
	if err == nil {
		err = col.commit(w.ticket)
	}
	return http.StatusCreated, raw(w.raw), err
}

func (s *Server) getDocument(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	col.mu.RLock()
	b, ok := col.document(c.PathValue("id"))
	col.mu.RUnlock()
	if !ok {
		return 0, nil, missingDocument(c.PathValue("id"))
	}
	p := paramsOf(c.URL.Query())
	doc, readErr := readObject(b)
	if readErr != nil {
		return 0, nil, errStore(readErr)
	}
	return http.StatusOK, project(doc, p.names("include_fields"), p.names("exclude_fields")), nil
}

func (s *Server) patchDocument(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	policy, err := parseDirty(c.query("dirty_values"))
	if err != nil {
		return 0, nil, err
	}
	doc, err := c.object()
	if err != nil {
		return 0, nil, err
	}
	doc["id"] = c.PathValue("id")
	w, err := col.put(actUpdate, doc, policy)
	if err == nil {
		err = col.commit(w.ticket)
	}
	return http.StatusOK, raw(w.raw), err
}

func (s *Server) deleteDocument(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	removed, ticket, err := col.remove(c.PathValue("id"))
	switch {
	case err != nil:
		return 0, nil, err
	case len(removed) == 0 && c.query("ignore_not_found") == "true":
		return http.StatusOK, map[string]string{"id": c.PathValue("id")}, nil
	case len(removed) == 0:
		return 0, nil, missingDocument(c.PathValue("id"))
	}
	return http.StatusOK, raw(removed[0]), col.commit(ticket)
}

// selected returns the ids of the documents that a filter passes, in the order of their arrival.
func (c *collection) selected(filterBy string) ([]string, *apiError) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	f, err := parseFilter(c.schema, filterBy)
	if err != nil {
		return nil, err
	}
	docs := c.index.live
	if f != nil {
		docs = f(c.index)
	}
	ids := make([]string, 0, docs.GetCardinality())
	each(docs, func(doc uint32) { ids = append(ids, c.index.docs[doc].id) })
	return ids, nil
}

func (s *Server) updateDocuments(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	policy, err := parseDirty(c.query("dirty_values"))
	if err != nil {
		return 0, nil, err
	}
	if c.query("filter_by") == "" {
		return 0, nil, badRequest("Parameter `filter_by` must be provided.")
	}
	body, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	ids, err := col.selected(c.query("filter_by"))
	if err != nil {
		return 0, nil, err
	}
	var ticket uint64
	updated := 0
	for _, id := range ids {
		patch, readErr := readObject(body)
		if readErr != nil {
			return 0, nil, badJSON(body, readErr)
		}
		patch["id"] = id
		w, err := col.put(actUpdate, patch, policy)
		if err != nil && err.Status == http.StatusNotFound {
			continue // deleted since it was selected
		}
		if err != nil {
			return 0, nil, err
		}
		ticket = w.ticket
		updated++
	}
	return http.StatusOK, map[string]int{"num_updated": updated}, col.commit(ticket)
}

func (s *Server) deleteDocuments(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	all := c.query("truncate") == "true"
	if c.query("filter_by") == "" && !all {
		return 0, nil, badRequest("Parameter `filter_by` must be provided.")
	}
	ids, err := col.selected(c.query("filter_by"))
	if err != nil {
		return 0, nil, err
	}
	deleted := 0
	var ticket uint64
	for _, id := range ids {
		removed, t, err := col.remove(id)
		if err != nil {
			return 0, nil, err
		}
		if len(removed) > 0 {
			deleted, ticket = deleted+1, t
		}
	}
	return http.StatusOK, map[string]int{"num_deleted": deleted}, col.commit(ticket)
}

func (s *Server) exportDocuments(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	p := paramsOf(c.URL.Query())
	ids, err := col.selected(p["filter_by"])
	if err != nil {
		return 0, nil, err
	}
	include, exclude := p.names("include_fields"), p.names("exclude_fields")
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := bufio.NewWriterSize(c.w, 1<<16)
	first := true
	for _, id := range ids {
		col.mu.RLock()
		b, ok := col.document(id)
		col.mu.RUnlock()
		if !ok {
			continue // deleted meanwhile
		}
		if len(include)+len(exclude) > 0 {
			doc, err := readObject(b)
			if err != nil {
				continue
			}
			b = writeObject(project(doc, include, exclude))
		}
		if !first {
			out.WriteByte('\n')
		}
		first = false
		out.Write(b)
	}
	out.Flush() // the client has gone away if this fails
	return 0, nil, nil
}

// importResult is the answer for one line of an import.
type importResult struct {
	Code     int    `json:"code,omitempty"`
	Document any    `json:"document,omitempty"`
	Error    string `json:"error,omitempty"`
	ID       string `json:"id,omitempty"`
	Success  bool   `json:"success"`
}

// importer writes an import's lines one after another.
type importer struct {
	col                 *collection
	act                 action
	policy              dirty
	returnID, returnDoc bool
	ticket              uint64
}

func (s *Server) importDocuments(c *call) (int, any, *apiError) {
	col, err := s.collection(c)
	if err != nil {
		return 0, nil, err
	}
	im := importer{col: col, returnID: c.query("return_id") == "true", returnDoc: c.query("return_doc") == "true"}
	if im.act, err = parseAction(c.query("action")); err != nil {
		return 0, nil, err
	}
	if im.policy, err = parseDirty(c.query("dirty_values")); err != nil {
		return 0, nil, err
	}
	var out bytes.Buffer
	lines := bufio.NewReaderSize(c.Body, 1<<16)
	for {
		line, readErr := readLine(lines)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			// What was read so far stays written, so it must be durable before the refusal.
			if err := col.commit(im.ticket); err != nil {
				return 0, nil, err
			}
			return 0, nil, bodyError(readErr)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if out.Len() > 0 {
				out.WriteByte('\n')
			}
			out.Write(writeObject(im.line(line)))
		}
		if readErr != nil {
			break
		}
	}
	if out.Len() == 0 {
		return 0, nil, badRequest("The request body was empty. So, no records were imported.")
	}
	if err := col.commit(im.ticket); err != nil {
		return 0, nil, err
	}
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.Write(out.Bytes()) // the client has gone away if this fails
	return 0, nil, nil
}

// readLine reads up to and including a newline, and no more than one document may hold.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxBody {
			return nil, &http.MaxBytesError{Limit: maxBody}
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (im *importer) line(line []byte) importResult {
	doc, readErr := readObject(line)
	if readErr != nil {
		err := badJSON(line, readErr)
		return importResult{Code: err.Status, Error: err.Message, Document: im.echo(string(line))}
	}
	id, _ := doc["id"].(string)
	w, err := im.col.put(im.act, doc, im.policy)
	if err != nil {
		res := importResult{Code: err.Status, Error: err.Message, Document: im.echo(string(line))}
		if im.returnID {
			res.ID = id
		}
		return res
	}
	im.ticket = w.ticket
	res := importResult{Success: true, Document: im.echo(raw(w.raw))}
	if im.returnID {
		res.ID = w.id
	}
	return res
}

func (im *importer) echo(doc any) any {
	if im.returnDoc {
		return doc
	}
	return nil
}
