package typesense

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// neverExpires is the expiry Typesense gives a key without one.
const neverExpires = 64723363199

// prefixLength is how much of a key a listing shows.
const prefixLength = 4

// apiKey is what one key may do, to which collections, until when.
type apiKey struct {
	Actions     []string `json:"actions"`
	AutoDelete  bool     `json:"autodelete"`
	Collections []string `json:"collections"`
	Description string   `json:"description"`
	ExpiresAt   int64    `json:"expires_at"`
	ID          int64    `json:"id"`
	Value       string   `json:"value"`
}

// newKey reads the body of POST /keys.
func newKey(body []byte) (apiKey, *apiError) {
	var r struct {
		apiKey
		Actions     *[]string `json:"actions"`
		Collections *[]string `json:"collections"`
		Description *string   `json:"description"`
		ExpiresAt   *int64    `json:"expires_at"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return apiKey{}, badJSON(body, err)
	}
	switch {
	case r.Description == nil:
		return apiKey{}, badRequest("Could not find a `description` key.")
	case r.Actions == nil || len(*r.Actions) == 0:
		return apiKey{}, badRequest("Wrong format for `actions`. It should be an array of string.")
	case r.Collections == nil || len(*r.Collections) == 0:
		return apiKey{}, badRequest("Wrong format for `collections`. It should be an array of string.")
	}
	for _, c := range *r.Collections {
		if _, err := regexp.Compile(c); c != "*" && err != nil {
			return apiKey{}, badRequest("Wrong format for `collections`. It should be an array of string.")
		}
	}
	k := r.apiKey
	k.Actions, k.Collections, k.Description = *r.Actions, *r.Collections, *r.Description
	k.ExpiresAt = or(r.ExpiresAt, neverExpires)
	if k.Value == "" {
		k.Value = rand.Text()
	}
	return k, nil
}

// describe renders a key without its secret.
func (k apiKey) describe() map[string]any {
	return map[string]any{
		"actions": k.Actions, "autodelete": k.AutoDelete, "collections": k.Collections, "description": k.Description,
		"expires_at": k.ExpiresAt, "id": k.ID, "value_prefix": k.Value[:min(prefixLength, len(k.Value))],
	}
}

// allows says whether the key may do an action to a collection; an empty collection stands for none in particular.
func (k apiKey) allows(action, collection string, now time.Time) bool {
	if now.Unix() >= k.ExpiresAt {
		return false
	}
	resource, _, _ := strings.Cut(action, ":")
	may := slices.ContainsFunc(k.Actions, func(a string) bool {
		return a == "*" || a == action || a == resource+":*"
	})
	return may && (collection == "" || slices.ContainsFunc(k.Collections, func(c string) bool {
		if c == "*" || c == collection {
			return true
		}
		re, err := regexp.Compile("^(?:" + c + ")$")
		return err == nil && re.MatchString(collection)
	}))
}

// access is what a request's key turned out to allow.
type access struct {
	allows   func(action, collection string) bool
	embedded map[string]any // search parameters of a scoped key, which the request cannot override
}

// authenticate reads a key: the server's own, one of those made here, or a scoped search key derived from one.
func (s *Server) authenticate(value string) (access, bool) {
	if value == "" {
		return access{}, false
	}
	if subtle.ConstantTimeCompare([]byte(value), []byte(s.apiKey)) == 1 {
		return access{allows: func(string, string) bool { return true }}, true
	}
	keys, now := s.catalog.now.Load().Keys, time.Now()
	for _, k := range keys {
		if subtle.ConstantTimeCompare([]byte(value), []byte(k.Value)) == 1 {
			return access{allows: func(a, c string) bool { return k.allows(a, c, now) }}, true
		}
	}
	return scoped(value, keys, now)
}

// scoped reads a scoped search key: a digest, the first letters of its parent key, and parameters, in base64.
func scoped(value string, keys []apiKey, now time.Time) (access, bool) {
	const digestLength = 44
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(b) <= digestLength+prefixLength {
		return access{}, false
	}
	digest, prefix, params := b[:digestLength], string(b[digestLength:digestLength+prefixLength]), b[digestLength+prefixLength:]
	for _, k := range keys {
		if !strings.HasPrefix(k.Value, prefix) || !slices.Equal(k.Actions, []string{"documents:search"}) {
			continue
		}
		mac := hmac.New(sha256.New, []byte(k.Value))
		mac.Write(params)
		if !hmac.Equal(digest, []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))) {
			continue
		}
		embedded, err := readObject(params)
		if err != nil {
			return access{}, false
		}
		if n, ok := embedded["expires_at"].(json.Number); ok {
			if at, err := n.Int64(); err != nil || now.Unix() >= at {
				return access{}, false
			}
		}
		return access{allows: func(a, c string) bool { return k.allows(a, c, now) }, embedded: embedded}, true
	}
	return access{}, false
}
