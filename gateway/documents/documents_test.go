package documents

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/engine"
)

const hello, bye = "{ hello }", "{ bye }"

func hashed(hash, query string) engine.Request {
	return engine.Request{Query: query, Extensions: json.RawMessage(`{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}`)}
}

func TestResolve(t *testing.T) {
	trusted := map[string]string{"sha256:" + digest(hello): hello, "greet-v2": "{ greet }"}
	for _, only := range []bool{false, true} {
		s, err := New(trusted, only)
		if err != nil {
			t.Fatal(err)
		}
		unless := func(code string) string {
			if only {
				return code
			}
			return ""
		}
		for _, c := range []struct {
			name  string
			r     engine.Request
			query string
			code  string
		}{
			{"a text", engine.Request{Query: bye}, bye, unless(CodeNotTrusted)},
			{"a trusted text", engine.Request{Query: hello}, hello, ""},
			{"a trusted id", engine.Request{DocumentID: "greet-v2"}, "{ greet }", ""},
			{"a trusted hash as id", engine.Request{DocumentID: "sha256:" + digest(hello)}, hello, ""},
			{"a trusted hash", hashed(digest(hello), ""), hello, ""},
			{"in capitals", hashed(strings.ToUpper(digest(hello)), ""), hello, ""},
			{"of a document known by id", hashed(digest("{ greet }"), ""), "{ greet }", ""},
			{"an unknown hash", hashed(digest(bye), ""), "", CodeNotFound},
			{"an unknown id", engine.Request{DocumentID: "x"}, "", CodeNotFound},
			{"a hash with its text", hashed(digest(bye), bye), bye, unless(CodeNotTrusted)},
			{"a hash with another text", hashed(digest(hello), bye), "", CodeMismatch},
			{"another version", engine.Request{Extensions: json.RawMessage(`{"persistedQuery":{"version":2,"sha256Hash":"x"}}`)}, "", engine.CodeInput},
			{"no hash at all", engine.Request{Extensions: json.RawMessage(`{"persistedQuery":7}`)}, "", engine.CodeInput},
			{"other extensions", engine.Request{Query: hello, Extensions: json.RawMessage(`{"x":{"persistedQuery":7}}`)}, hello, ""},
		} {
			got, err := s.Resolve(c.r)
			var es engine.Errors
			if errors.As(err, &es); c.code == "" && (err != nil || got.Query != c.query) || c.code != "" && (len(es) != 1 || es[0].Code() != c.code) {
				t.Errorf("only %v, %s: %q %v", only, c.name, got.Query, err)
			}
		}
		s.Learn(hashed(digest(bye), bye))
		s.Learn(engine.Request{Query: "{ never }"})
		if _, err := s.Resolve(hashed(digest(bye), "")); (err != nil) != only {
			t.Errorf("only %v, learned: %v", only, err)
		}
	}
}

// However many documents strangers send, a bounded number is remembered, and no large one.
func TestLearnsWithinBounds(t *testing.T) {
	s, err := New(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * mostLearned {
		text := fmt.Sprintf("{ a%d }", i)
		s.Learn(hashed(digest(text), text))
	}
	large := "{ a" + strings.Repeat(" ", largestLearned) + "}"
	s.Learn(hashed(digest(large), large))
	if n := s.learned.Len(); n != mostLearned || s.learned.Contains(digest(large)) {
		t.Errorf("%d are known", n)
	}
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"Apollo's": {`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"h","name":"Hello","type":"query","body":"{ hello }"}]}`, true},
		"texts":    {`{"h":"{ hello }"}`, true},
		"no body":  {`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"h"}]}`, false},
		"a list":   {`["{ hello }"]`, false},
		"nothing":  {``, false},
	} {
		got, err := Parse([]byte(c.text))
		if (err == nil) != c.ok || c.ok && got["h"] != hello {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, err := New(nil, true); err == nil {
		t.Error("nothing but trusted documents, and none is")
	}
}
