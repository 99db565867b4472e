package engine

import (
	"encoding/json"
	"hash/maphash"
	"net/http"
	"slices"

	"github.com/souk-shop/souk/internal/viewer"
)

var seed = maphash.MakeSeed()

// A caller is a viewer as far as answers depend on it: account, scopes and locale included.
type caller struct {
	viewer      viewer.Viewer
	fingerprint string
	hash        uint64
}

func callerOf(v viewer.Viewer) caller {
	v.Scopes = slices.Sorted(slices.Values(v.Scopes))
	text, _ := json.Marshal(v)
	return caller{viewer: v, fingerprint: string(text), hash: maphash.Bytes(seed, text)}
}

// HeadersForSubgraph adds no header, the transport signs who asks; its hash keeps callers' fetches apart.
func (c caller) HeadersForSubgraph(string) (http.Header, uint64) { return nil, c.hash }

// HashAll keeps callers' requests apart.
func (c caller) HashAll() uint64 { return c.hash }
