package typesense

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	c := shop(t)
	c.ok("POST", "/collections", strings.Replace(itemsSchema, `"items"`, `"other"`, 1))
	created := c.ok("POST", "/keys", `{"description":"x","actions":["documents:search","documents:get"],"collections":["sh.*"],"value":"abcdef"}`)
	if created["value"] != "abcdef" {
		t.Errorf("created %v", created)
	}
	id := int(created["id"].(float64))
	if one := c.ok("GET", fmt.Sprintf("/keys/%d", id), ""); one["value"] != nil || one["value_prefix"] != "abcd" {
		t.Errorf("a key shows its secret: %v", one)
	}
	expired := c.ok("POST", "/keys", `{"description":"x","actions":["*"],"collections":["*"],"expires_at":1}`)["value"].(string)

	for _, tc := range []struct {
		key, method, path, body string
		status                  int
	}{
		{"abcdef", "GET", "/collections/shop/documents/search?q=*", "", 200},
		{"abcdef", "GET", "/collections/shop/documents/1", "", 200},
		{"abcdef", "GET", "/collections/other/documents/search?q=*", "", 401},
		{"abcdef", "DELETE", "/collections/shop/documents/1", "", 401},
		{"abcdef", "GET", "/collections", "", 401},
		{"abcdef", "GET", "/keys", "", 401},
		{"abcdef", "POST", "/multi_search", `{"searches":[{"collection":"shop","q":"*"}]}`, 200},
		{"abcdef", "POST", "/multi_search", `{"searches":[{"collection":"shop","q":"*"},{"collection":"other","q":"*"}]}`, 401},
		{expired, "GET", "/collections", "", 401},
		{"", "GET", "/collections", "", 401},
		{"", "GET", "/health", "", 200},
	} {
		who := c
		who.key = tc.key
		if status, body := who.do(tc.method, tc.path, tc.body); status != tc.status {
			t.Errorf("%q %s %s: %d %s", tc.key, tc.method, tc.path, status, body)
		}
	}
	anonymous := c
	anonymous.key = ""
	if status, _ := anonymous.do("GET", "/collections?x-typesense-api-key="+testKey, ""); status != 200 {
		t.Errorf("a key in the query: %d", status)
	}

	c.ok("DELETE", fmt.Sprintf("/keys/%d", id), "")
	c.key = "abcdef"
	if status, _ := c.do("GET", "/collections/shop/documents/1", ""); status != http.StatusUnauthorized {
		t.Errorf("a deleted key: %d", status)
	}
}

// scopedKey derives a scoped search key as the client libraries do.
func scopedKey(parent, params string) string {
	mac := hmac.New(sha256.New, []byte(parent))
	mac.Write([]byte(params))
	digest := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return base64.StdEncoding.EncodeToString([]byte(digest + parent[:4] + params))
}

func TestScopedKeys(t *testing.T) {
	c := shop(t)
	c.ok("POST", "/keys", `{"description":"x","actions":["documents:search"],"collections":["*"],"value":"parent-key"}`)
	c.key = scopedKey("parent-key", `{"filter_by":"brand:=Samsung","exclude_fields":"price"}`)
	a := c.search("shop", "q", "*", "filter_by", "rank:<80 || rank:>90", "exclude_fields", "name")
	if a.ids() != "2" || a.Hits[0].Document["price"] != nil || a.Hits[0].Document["name"] == nil {
		t.Errorf("the embedded parameters do not hold: %s", a.body)
	}
	if status, _ := c.do("GET", "/collections/shop/documents/1", ""); status != http.StatusUnauthorized {
		t.Errorf("a scoped key reads documents: %d", status)
	}
	c.key = scopedKey("parent-key", `{"expires_at":1}`)
	if a := c.search("shop", "q", "*"); a.status != http.StatusUnauthorized {
		t.Errorf("an expired scoped key: %d", a.status)
	}
	c.key = scopedKey("parent-kex", `{}`)
	if a := c.search("shop", "q", "*"); a.status != http.StatusUnauthorized {
		t.Errorf("a forged scoped key: %d", a.status)
	}
}

func TestAliases(t *testing.T) {
	c := shop(t)
	c.ok("PUT", "/aliases/live", `{"collection_name":"shop"}`)
	c.ok("PUT", "/aliases/later", `{"collection_name":"not-yet"}`)
	if got := fmt.Sprint(c.ok("GET", "/aliases", "")); got != "map[aliases:[map[collection_name:not-yet name:later] map[collection_name:shop name:live]]]" {
		t.Errorf("aliases: %s", got)
	}
	c.load("live", `{"id":"9","name":"New","rank":99}`)
	if got := c.search("live", "q", "new", "query_by", "name").ids(); got != "9" {
		t.Errorf("through the alias: %q", got)
	}
	if status, _ := c.do("GET", "/collections/later", ""); status != http.StatusNotFound {
		t.Errorf("an alias of nothing: %d", status)
	}
	for _, path := range []string{"/aliases/none", "/aliases/" + url.PathEscape("a/b")} {
		if status, _ := c.do("GET", path, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, body := c.do("POST", "/collections", strings.Replace(itemsSchema, `"items"`, `"live"`, 1)); status != http.StatusConflict {
		t.Errorf("a collection named like an alias: %d %s", status, body)
	}
}
