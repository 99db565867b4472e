// Package documents knows GraphQL documents by name, so that clients need not send their text: those that the shop's own clients were
// built with, which are trusted, and those that some client has sent before.
//
// The second is what Apollo calls automatic persisted queries: a client sends the SHA-256 of a document, and its text with it when told
// PERSISTED_QUERY_NOT_FOUND. Both make a query short enough for the URL of a GET, which a CDN can keep the answer to.
package documents

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/souk-shop/souk/gateway/engine"
)

// The codes of the refusals.
const (
	CodeNotFound   = "PERSISTED_QUERY_NOT_FOUND" // send the text too
	CodeMismatch   = "PERSISTED_QUERY_MISMATCH"  // the text is another document's
	CodeNotTrusted = "QUERY_NOT_IN_SAFELIST"     // nothing but trusted documents is answered
)

const (
	mostLearned    = 2_000
	largestLearned = 16 << 10 // bytes of one
)

// A Store knows documents. It is safe for concurrent use.
type Store struct {
	byID    map[string]string // trusted
	trusted map[string]string // by id, and by the SHA-256 of the text
	only    bool
	learned *lru.Cache[string, string] // by SHA-256
}

// New returns a Store that trusts documents, by id. With only, nothing else is answered, whoever sends its text.
func New(trusted map[string]string, only bool) (*Store, error) {
	if only && len(trusted) == 0 {
		return nil, errors.New("no document is trusted, so nothing would be answered")
	}
	s := &Store{byID: maps.Clone(trusted), trusted: map[string]string{}, only: only}
	s.learned, _ = lru.New[string, string](mostLearned) // fails for a size below 1 alone
	for id, text := range trusted {
		s.trusted[bare(id)] = text
		s.trusted[digest(text)] = text
	}
	return s, nil
}

// Trusted lists the trusted documents, by id.
func (s *Store) Trusted() iter.Seq2[string, string] { return maps.All(s.byID) }

// Parse reads a manifest of documents: Apollo's, or an object of texts by id as GraphQL Code Generator and Relay write it.
func Parse(manifest []byte) (map[string]string, error) {
	var apollo struct {
		Format     string
		Operations []struct{ ID, Body string }
	}
	if err := json.Unmarshal(manifest, &apollo); err == nil && apollo.Format == "apollo-persisted-query-manifest" {
		out := map[string]string{}
		for _, op := range apollo.Operations {
			if op.ID == "" || op.Body == "" {
				return nil, errors.New("an operation of the manifest has no id or no body")
			}
			out[op.ID] = op.Body
		}
		return out, nil
	}
	var texts map[string]string
	if err := json.Unmarshal(manifest, &texts); err != nil {
		return nil, fmt.Errorf("this is no manifest of documents: %w", err)
	}
	return texts, nil
}

// Resolve returns the request with the text of its document. Found to be valid, it is to be given to Learn.
func (s *Store) Resolve(r engine.Request) (engine.Request, error) {
	id, persisted, err := named(r)
	if err != nil {
		return r, err
	}
	if r.Query == "" {
		text, ok := s.trusted[id]
		if !ok && !s.only {
			text, ok = s.learned.Get(id)
		}
		if !ok {
			return r, refusal(CodeNotFound, "PersistedQueryNotFound") // the words that clients look for
		}
		r.Query = text
		return r, nil
	}
	if persisted && digest(r.Query) != id {
		return r, refusal(CodeMismatch, "the hash is not that of the query: it is SHA-256, in hexadecimal")
	}
	if s.only {
		if _, ok := s.trusted[digest(r.Query)]; !ok {
			return r, refusal(CodeNotTrusted, "this document is not one that the shop's own clients were built with")
		}
	}
	return r, nil
}

// Learn remembers the document of a valid request whose sender wants to name it by its hash from now on.
func (s *Store) Learn(r engine.Request) {
	id, persisted, err := named(r)
	if err != nil || !persisted || s.only || len(r.Query) > largestLearned {
		return
	}
	if _, known := s.trusted[id]; !known && !s.learned.Contains(id) {
		s.learned.Add(id, r.Query)
	}
}

// named returns the name that a request gives its document, and whether it is Apollo's hash.
func named(r engine.Request) (id string, persisted bool, err error) {
	if r.DocumentID != "" {
		return bare(r.DocumentID), false, nil
	}
	if len(r.Extensions) == 0 {
		return "", false, nil
	}
	var extensions struct {
		PersistedQuery *struct {
			Version    int    `json:"version"`
			SHA256Hash string `json:"sha256Hash"`
		} `json:"persistedQuery"`
	}
	if err := json.Unmarshal(r.Extensions, &extensions); err != nil || extensions.PersistedQuery != nil && extensions.PersistedQuery.Version != 1 {
		return "", false, refusal(engine.CodeInput, "extensions.persistedQuery must be {version: 1, sha256Hash: …}")
	}
	if extensions.PersistedQuery == nil {
		return "", false, nil
	}
	return strings.ToLower(extensions.PersistedQuery.SHA256Hash), true, nil
}

// bare is a name without what says how it was made.
func bare(id string) string { return strings.TrimPrefix(id, "sha256:") }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func refusal(code, message string) engine.Errors {
	return engine.Errors{{Message: message, Extensions: map[string]any{"code": code}}}
}
