package typesense

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestDocumentErrors(t *testing.T) {
	c := shop(t)
	for _, tc := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"POST", "", `{"id":"1","name":"x","rank":1}`, 409, "A document with id 1 already exists."},
		{"POST", "", `{"id":1,"name":"x","rank":1}`, 400, "Document's `id` field should be a string."},
		{"POST", "", `{"name":"x"}`, 400, "Field `rank` has been declared as a default sorting field, but is not found in the document."},
		{"POST", "", `{"rank":1}`, 400, "Field `name` has been declared in the schema, but is not found in the document."},
		{"POST", "", `{"name":"x","rank":99999999999}`, 400, "Field `rank` must be an int32."},
		{"POST", "", `{"name":["x"],"rank":1}`, 400, "Field `name` must be a string."},
		{"POST", "", `{"name":"x","rank":1,"tags":"one"}`, 400, "Field `tags` must be an array."},
		{"POST", "", `{"name":"x","rank":1,"place":[1]}`, 400, "Field `place` must be a 2 element array: [lat, lng]."},
		{"POST", "", `[1]`, 400, "Bad JSON: not a proper document."},
		{"POST", "", `{"name":"x","rank":1`, 400, "Bad JSON: [json.exception.parse_error.101] parse error at line 1, column 21: syntax error while parsing object - unexpected end of input; expected '}'"},
		{"POST", "", `{"name":"x" "rank":1}`, 400, "Bad JSON: [json.exception.parse_error.101] parse error at line 1, column 18: syntax error while parsing object - unexpected string literal; expected '}'"},
		{"POST", "?action=update", `{"id":"404","name":"x"}`, 404, "Could not find a document with id: 404"},
		{"POST", "?action=replace", `{"id":"404","name":"x"}`, 400, "Parameter `action` must be a create|update|upsert."},
		{"PATCH", "/404", `{"rank":1}`, 404, "Could not find a document with id: 404"},
		{"DELETE", "/404", ``, 404, "Could not find a document with id: 404"},
		{"DELETE", "", ``, 400, "Parameter `filter_by` must be provided."},
		{"PATCH", "", `{}`, 400, "Parameter `filter_by` must be provided."},
		{"POST", "/import", ``, 400, "The request body was empty. So, no records were imported."},
	} {
		status, body := c.do(tc.method, "/collections/shop/documents"+tc.path, tc.body)
		if want := string(writeObject(map[string]string{"message": tc.message})); status != tc.status || body != want {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, status, body)
		}
	}
	for _, path := range []string{"/nowhere", "/collections/none", "/collections/none/documents/1", "/collections/none/documents/search?q=*"} {
		if status, body := c.do("GET", path, ""); status != http.StatusNotFound || !strings.Contains(body, `"message"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestActionsAndPatches(t *testing.T) {
	c := shop(t)
	get := func(id string) string { _, b := c.do("GET", "/collections/shop/documents/"+id, ""); return b }

	c.ok("POST", "/collections/shop/documents?action=upsert", `{"id":"6","name":"Voucher","rank":6}`)
	if got := get("6"); got != `{"id":"6","name":"Voucher","rank":6}` {
		t.Errorf("upsert: %s", got)
	}
	c.ok("POST", "/collections/shop/documents?action=emplace", `{"id":"2","attributes":{"ram":null,"size":"S"},"tags":null,"price":150.50}`)
	if got := get("2"); !strings.Contains(got, `"attributes":{"color":"white","size":"S"}`) || strings.Contains(got, "tags") || !strings.Contains(got, `"price":150.5,`) {
		t.Errorf("emplace: %s", got)
	}
	if got := c.search("shop", "q", "*", "filter_by", "tags:=audio").Found; got != 0 {
		t.Errorf("a removed value is still found %d times", got)
	}
	if got := c.search("shop", "q", "*", "filter_by", "attributes.size:=S").ids(); got != "2" {
		t.Errorf("a value patched in is not found: %q", got)
	}
	c.ok("POST", "/collections/shop/documents?action=update", `{"id":"5","sale":"true"}`)
	if got := get("5"); !strings.Contains(got, `"sale":true`) {
		t.Errorf("coerced: %s", got)
	}
	if made := c.ok("POST", "/collections/shop/documents", `{"name":"No id","rank":1}`); made["id"] == "" {
		t.Errorf("no id was made up: %v", made)
	}
	_, lines := c.do("POST", "/collections/shop/documents/import?action=create&dirty_values=coerce_or_drop&return_id=true",
		`{"id":"n","name":12,"rank":1,"price":"cheap","sale":"yes"}`+"\n\n"+`{"id":"n","name":"again","rank":1}`)
	if want := `{"id":"n","success":true}` + "\n" + `{"code":409,"error":"A document with id n already exists.","id":"n","success":false}`; lines != want {
		t.Errorf("import: %s", lines)
	}
	if got := get("n"); got != `{"id":"n","name":"12","rank":1}` {
		t.Errorf("dropped: %s", got)
	}
	if n := c.ok("DELETE", "/collections/shop/documents?filter_by=rank:%3C10", "")["num_deleted"]; n != 3.0 {
		t.Errorf("deleted by filter: %v", n)
	}
	if n := c.ok("GET", "/collections/shop", "")["num_documents"]; n != 5.0 {
		t.Errorf("left: %v", n)
	}
}

// TestWildcardFields: names that match a pattern become fields with the first document that has them.
func TestWildcardFields(t *testing.T) {
	c := calls(t, open(t, t.TempDir()))
	c.ok("POST", "/collections", `{"name":"p","enable_nested_fields":true,"fields":[
		{"name":"name","type":"string"},{"name":"attributes.*","type":"auto","facet":true,"optional":true},
		{"name":".*_text","type":"string","facet":false},{"name":"any","type":"string*","facet":true}]}`)
	c.load("p",
		`{"id":"1","name":"a","attributes":{"color":"red","sizes":[1,2],"deep":{"er":true}},"long_text":"hello world","any":5,"ignored":"x"}`,
		`{"id":"2","name":"b","attributes":{"color":"blue","list":[{"k":"v"},{"k":"w"}]},"any":"6"}`)
	for filter, want := range map[string]string{
		"attributes.color:=red": "1", "attributes.sizes:=2": "1", "attributes.deep.er:true": "1",
		"attributes.list.k:=w": "2", "any:=5": "1", "any:=6": "2", "long_text:world": "1",
	} {
		a := c.search("p", "q", "*", "filter_by", filter)
		if got := a.ids(); got != want {
			t.Errorf("%s: %q %s", filter, got, a.Message)
		}
	}
	if a := c.search("p", "q", "*", "facet_by", "attributes.color,attributes.sizes"); len(a.Facets) != 2 || len(a.Facets[0].Counts) != 2 {
		t.Errorf("facets of learned fields: %s", a.body)
	}
	if a := c.search("p", "q", "*", "filter_by", "ignored:=x"); a.status != http.StatusBadRequest {
		t.Errorf("a field nobody declared: %s", a.body)
	}
	if status, body := c.do("POST", "/collections/p/documents", `{"name":"c","attributes":{"color":{"a":1}}}`); status >= 500 {
		t.Errorf("an object where a string was: %d %s", status, body)
	}
}

func TestAlter(t *testing.T) {
	c := shop(t)
	for _, tc := range []struct{ body, message string }{
		{`{}`, "Alter payload is empty."},
		{`{"fields":[{"name":"none","drop":true}]}`, "Field `none` is not part of collection schema."},
		{`{"fields":[{"name":"brand","type":"string"}]}`, "Field `brand` is already part of the schema: To change this field, drop it first before adding it back to the schema."},
		{`{"fields":[{"name":"new","type":"string"}]}`, "Schema change is incompatible with the type of documents already stored in this collection. error: Field `new` has been declared in the schema, but is not found in the document."},
	} {
		if status, body := c.do("PATCH", "/collections/shop", tc.body); status != 400 || !strings.Contains(body, tc.message) {
			t.Errorf("%s: %d %s", tc.body, status, body)
		}
	}
	c.ok("PATCH", "/collections/shop", `{"fields":[{"name":"brand","drop":true},{"name":"brand","type":"string","optional":true,"facet":false}]}`)
	if a := c.search("shop", "q", "samsung", "query_by", "brand"); a.ids() != "1 2" {
		t.Errorf("the field added again is not indexed: %s", a.body)
	}
	if a := c.search("shop", "q", "*", "facet_by", "brand"); a.status != http.StatusNotFound {
		t.Errorf("no facet any more: %s", a.body)
	}
}

func TestSchemaErrors(t *testing.T) {
	c := calls(t, open(t, t.TempDir()))
	for _, tc := range []struct{ body, message string }{
		{`{"fields":[{"name":"a","type":"string"}]}`, "Parameter `name` is required."},
		{`{"name":"","fields":[{"name":"a","type":"string"}]}`, "Parameter `name` must be a non-empty string."},
		{`{"name":"x","fields":[{"name":"a","type":"string"},{"name":"a","type":"string"}]}`, "There are duplicate field names in the schema."},
		{`{"name":"x","default_sorting_field":"b","fields":[{"name":"a","type":"string"}]}`, "Default sorting field is defined as `b` but is not found in the schema."},
		{`{"name":"x","default_sorting_field":"a","fields":[{"name":"a","type":"int32","optional":true}]}`, "Default sorting field `a` cannot be an optional field."},
		{`{"name":"x","fields":[{"name":"a","type":"object"}]}`, "Type `object` or `object[]` can be used only when nested fields are enabled by setting` enable_nested_fields` to true."},
		{`{"name":"x","fields":[{"name":"(.*","type":"auto"}]}`, "Field `(.*` is not a valid regular expression."},
		{`{"name":"x","fields":[{"name":"a","type":"float[]","embed":{"from":["b"]}}]}`, "Field `a`: embeddings are not supported by the embedded store."},
		{`{"name":"x","fields":7}`, "Bad JSON: a value has the wrong type."},
		{`{"name":"x"`, "Bad JSON: [json.exception.parse_error.101] parse error at line 1, column 12: syntax error while parsing object - unexpected end of input; expected '}'"},
	} {
		status, body := c.do("POST", "/collections", tc.body)
		if want := string(writeObject(map[string]string{"message": tc.message})); status != 400 || body != want {
			t.Errorf("%s: %d %s", tc.body, status, body)
		}
	}
	if list, _ := c.do("GET", "/collections", ""); list != 200 {
		t.Error(list)
	}
}

func TestExport(t *testing.T) {
	c := shop(t)
	_, all := c.do("GET", "/collections/shop/documents/export", "")
	if n := len(strings.Split(all, "\n")); n != 6 {
		t.Errorf("%d lines", n)
	}
	_, some := c.do("GET", "/collections/shop/documents/export?filter_by=brand:Samsung&include_fields=id", "")
	if some != "{\"id\":\"1\"}\n{\"id\":\"2\"}" {
		t.Errorf("%q", some)
	}
	c.ok("DELETE", "/collections/shop/documents?filter_by=rank:%3E0", "")
	c.load("shop", strings.Split(all, "\n")...)
	if got := fmt.Sprint(c.search("shop", "q", "*").ids()); got != "3 1 2 5 4 6" {
		t.Errorf("imported again: %s", got)
	}
}
