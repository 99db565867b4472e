package transport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Keep notes for how long anybody may keep the answer, if it is one that can be: to a GET that does not say who asks.
func (to *httpReply) Keep(maxAge time.Duration) {
	if to.public {
		to.maxAge = maxAge.Round(time.Second)
	}
}

// kept says in the headers of an answer for how long it may be kept. It tells whether that was all there is to say, since the caller has
// the answer already.
//
// For as long again, what is too old may be shown while a new one is fetched.
func (to *httpReply) kept(result []byte) bool {
	seconds := int(to.maxAge / time.Second)
	sum := sha256.Sum256(result)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	to.w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d, stale-while-revalidate=%d", seconds, seconds))
	to.w.Header().Set("ETag", tag)
	if !hasTag(to.has, tag) {
		return false
	}
	to.w.WriteHeader(http.StatusNotModified)
	return true
}

// hasTag tells whether an If-None-Match header names a tag. Somebody on the way may have made a weak one of it by compressing.
func hasTag(headers []string, tag string) bool {
	for _, h := range headers {
		if slices.ContainsFunc(strings.Split(h, ","), func(t string) bool {
			t = strings.TrimSpace(t)
			return t == "*" || strings.TrimPrefix(t, "W/") == tag
		}) {
			return true
		}
	}
	return false
}
