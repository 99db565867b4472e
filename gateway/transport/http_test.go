package transport_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/transport"
)

const (
	modern = "application/graphql-response+json"
	older  = "application/json"
)

// ask sends one HTTP request; headers are "Name: value".
func (h house) ask(t *testing.T, method, query string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+query, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// The names in brackets are those of graphql-http's audit suite for servers.
func TestPost(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		name, body, accept string
		status             int
		media, says        string
	}{
		{"modern [22EB]", `{"query":"{ hello }"}`, modern, 200, modern, `{"data":{"hello":"world"}}`},
		{"older [4655]", `{"query":"{ hello }"}`, older, 200, older, `{"data":{"hello":"world"}}`},
		{"anything [47DE]", `{"query":"{ hello }"}`, "*/*", 200, older, `"world"`},
		{"nothing said [80D8]", `{"query":"{ hello }"}`, "", 200, older, `"world"`},
		{"both, in order of weight", `{"query":"{ hello }"}`, older + ";q=0.9, " + modern, 200, modern, `"world"`},
		{"a browser's fetch", `{"query":"{ hello }"}`, "text/html, */*;q=0.1", 200, older, `"world"`},
		{"urql", `{"query":"{ hello }"}`, modern + ", application/graphql+json, " + older + ", text/event-stream, multipart/mixed", 200, modern, `"world"`},
		{"nothing we write", `{"query":"{ hello }"}`, "text/html", 406, older, "NOT_ACCEPTABLE"},
		{"refused by weight", `{"query":"{ hello }"}`, older + ";q=0", 406, older, "NOT_ACCEPTABLE"},

		{"no body [A5BF]", ``, older, 400, older, "BAD_REQUEST"},
		{"not JSON [BCF8]", `{"not a JSON`, older, 400, older, "BAD_REQUEST"},
		{"not JSON [B7N8]", `{"not a JSON`, modern, 400, modern, "BAD_REQUEST"},
		{"something behind it", `{"query":"{ hello }"} x`, modern, 400, modern, "BAD_REQUEST"},
		{"not UTF-8", "{\"query\":\"{ hello \xff }\"}", modern, 400, modern, "UTF-8"},
		{"no query [423L]", `{"qeury":"{ hello }"}`, modern, 400, modern, "query is missing"},
		{"query is a number [LKJ1]", `{"query":0}`, older, 400, older, "query must be a string"},
		{"query is an object [LKJ0]", `{"query":{}}`, older, 400, older, "query must be a string"},
		{"operationName is a list [6C03]", `{"query":"{ hello }","operationName":["a"]}`, older, 400, older, "operationName must be a string"},
		{"variables are text [4760]", `{"query":"{ hello }","variables":"string"}`, older, 400, older, "variables must be a JSON object"},
		{"variables are a list [4763]", `{"query":"{ hello }","variables":["array"]}`, older, 400, older, "variables must be a JSON object"},
		{"extensions are false [58B2]", `{"query":"{ hello }","extensions":false}`, older, 400, older, "extensions must be a JSON object"},
		{"nulls [94B0 022]", `{"query":"{ hello }","variables":null,"operationName":null,"extensions":null}`, modern, 200, modern, "world"},
		{"maps [428F]", `{"query":"{ hello }","variables":{},"extensions":{"some":"value"}}`, modern, 200, modern, "world"},
		{"a field of tomorrow", `{"query":"{ hello }","trustMe":true}`, modern, 200, modern, "world"},
		{"a batch", ` [{"query":"{ hello }"},{"query":"{ hello }"}]`, older, 400, older, "batches are not served"},

		{"parse error [572B]", `{"query":"{"}`, older, 200, older, `{"errors":[`},
		{"parse error [556A D586]", `{"query":"{"}`, modern, 400, modern, `{"errors":[`},
		{"validation error [FDE2]", `{"query":"{ nonsense }"}`, older, 200, older, `{"errors":[`},
		{"validation error [74FF 5E5B]", `{"query":"{ nonsense }"}`, modern, 400, modern, `{"errors":[`},
		{"coercion error [7B9B]", `{"query":"query($id: ID!){ hello(id: $id) }","variables":{"id":null}}`, older, 200, older, "BAD_USER_INPUT"},
		{"coercion error [86EE]", `{"query":"query($id: ID!){ hello(id: $id) }","variables":{"id":null}}`, modern, 400, modern, "BAD_USER_INPUT"},
		{"a field failed [EE52]", `{"query":"{ broken }"}`, modern, 200, modern, `"data":{"broken":null}`},

		{"subscription over JSON", `{"query":"subscription { ticks }"}`, modern, 406, modern, "text/event-stream"},
		{"@defer over JSON", `{"query":"{ hello ... @defer { slow } }"}`, modern, 406, modern, "multipart/mixed"},
		{"another dialect of @defer", `{"query":"{ hello ... @defer { slow } }"}`, "multipart/mixed;incrementalSpec=v0.2, " + older, 406, older, "multipart/mixed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{"Content-Type: application/json"}
			if c.accept != "" {
				headers = append(headers, "Accept: "+c.accept)
			}
			res, body := h.ask(t, "POST", "", strings.NewReader(c.body), headers...)
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.media+"; charset=utf-8" || !strings.Contains(body, c.says) {
				t.Errorf("%d %s\n%s", res.StatusCode, res.Header.Get("Content-Type"), body)
			}
			if strings.HasPrefix(body, `{"errors":[`) && !strings.Contains(body, `"code":"`) {
				t.Errorf("an error without a code: %s", body)
			}
		})
	}
}

func TestContentType(t *testing.T) {
	h := open(t, nil)
	for media, status := range map[string]int{
		"application/json":                  200,
		"application/json; charset=UTF-8":   200,
		"application/json; charset=latin1":  415,
		"":                                  415,
		"text/plain":                        415,
		"application/graphql":               415,
		"multipart/form-data; boundary=x":   415,
		"application/x-www-form-urlencoded": 415,
		"nonsense;;;":                       415,
	} {
		res, body := h.ask(t, "POST", "", strings.NewReader(`{"query":"{ hello }"}`), "Content-Type: "+media)
		if res.StatusCode != status || status != 200 && !strings.Contains(body, "UNSUPPORTED_MEDIA_TYPE") {
			t.Errorf("%q: %d %s", media, res.StatusCode, body)
		}
	}
}

func TestGet(t *testing.T) {
	h := open(t, nil)
	get := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return "?" + v.Encode()
	}
	query := "query A($a: ID) { hello(id: $a) } query B { whoami }"
	for _, c := range []struct {
		name, query string
		status      int
		says        string
	}{
		{"query [5A70]", get("query", "{ hello }"), 200, "world"},
		{"everything [D6D5]", get("query", query, "operationName", "A", "variables", `{"a":"b"}`, "extensions", `{}`), 200, "world"},
		{"mutation [9C48]", get("query", `mutation { greet(name: "x") }`), 405, "METHOD_NOT_ALLOWED"},
		{"variables are not JSON", get("query", query, "operationName", "A", "variables", `{"a`), 400, "variables must be a JSON object"},
		{"no query", "", 400, "query is missing"},
		{"bad escape", "?query=%zz", 400, "not properly encoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := h.ask(t, "GET", c.query, nil, "Accept: "+modern, "Souk-Preflight: 1")
			if res.StatusCode != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if allow := res.Header.Get("Allow"); (allow == "GET, POST") != (c.status == 405) {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		if res, _ := h.ask(t, method, "", nil); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, POST" {
			t.Errorf("%s: %d %s", method, res.StatusCode, res.Header.Get("Allow"))
		}
	}
}

func TestForeignPages(t *testing.T) {
	h := open(t, nil)
	for header, status := range map[string]int{
		"Accept: */*":                         200, // no browser: curl, say
		"Origin: https://elsewhere.test":      403,
		"Sec-Fetch-Site: cross-site":          403, // an image tag
		"Sec-Fetch-Site: same-site":           403,
		"Sec-Fetch-Site: same-origin":         200,
		"Sec-Fetch-Site: none":                200, // typed into the address bar
		"Souk-Preflight: 1":                   200,
		"Apollo-Require-Preflight: true":      200,
		"X-Apollo-Operation-Name: Hello":      200,
		"Authorization: Bearer ann":           200,
		"Content-Type: application/json":      200,
		"GraphQL-Require-Preflight: whatever": 200,
	} {
		res, body := h.ask(t, "GET", "?query={hello}", nil, header)
		if res.StatusCode != status || status == 403 && !strings.Contains(body, "PREFLIGHT_REQUIRED") {
			t.Errorf("%s: %d %s", header, res.StatusCode, body)
		}
	}
	for header, status := range map[string]int{"Content-Type: text/plain": 403, "Content-Type: application/json": 200, "Souk-Preflight: 1": 200} {
		if res, body := h.ask(t, "GET", "?query={hello}", nil, "Sec-Fetch-Site: cross-site", header); res.StatusCode != status {
			t.Errorf("from elsewhere, %s: %d %s", header, res.StatusCode, body)
		}
	}
}

func TestSession(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		authorization string
		status        int
		says          string
	}{
		{"", 200, `{"data":{"whoami":""}}`},
		{"Bearer ann", 200, `{"data":{"whoami":"acc_ann"}}`},
		{"Bearer forged", 401, `"code":"UNAUTHENTICATED"`},
		{"Bearer later", 503, `"code":"UNAVAILABLE"`},
	} {
		for _, accept := range []string{modern, older} {
			res, body := h.ask(t, "POST", "", strings.NewReader(`{"query":"{ whoami }"}`),
				"Content-Type: application/json", "Accept: "+accept, "Authorization: "+c.authorization)
			if res.StatusCode != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%s, %s: %d %s", c.authorization, accept, res.StatusCode, body)
			}
			if challenge := res.Header.Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
		}
	}
}

func zipped(text string) *bytes.Buffer {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return &b
}

func TestBodyLimit(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Body = 10_000 })
	padded := func(n int) string { return `{"query":"{ hello }","pad":"` + strings.Repeat("x", n) + `"}` }
	short := zipped(padded(5000))
	for _, c := range []struct {
		name     string
		body     io.Reader
		encoding string
		status   int
	}{
		{"fits", strings.NewReader(padded(9000)), "", 200},
		{"too large", strings.NewReader(padded(10_000)), "", 413},
		{"zipped, fits", short, "gzip", 200},
		{"zipped, too large when opened", zipped(padded(8 << 20)), "gzip", 413},
		{"zipped, cut off", bytes.NewReader(zipped(padded(5000)).Bytes()[:20]), "gzip", 400},
		{"not zipped", strings.NewReader(padded(10)), "gzip", 400},
		{"unknown encoding", strings.NewReader(padded(10)), "br", 415},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := h.ask(t, "POST", "", c.body, "Content-Type: application/json", "Content-Encoding: "+c.encoding)
			if res.StatusCode != c.status || c.status != 200 && !strings.Contains(body, `"code":`) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
}

// Who sends a body byte by byte, or takes an answer so, is cut off.
func TestSlowBody(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.ReadWait = 20 * time.Millisecond })
	for header, status := range map[string]string{"Content-Type: application/json": "408", "Content-Type: text/plain": "415"} {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: souk\r\n%s\r\nContent-Length: 100\r\n\r\n{\"query\":", header)
		all, err := io.ReadAll(conn) // to the end: the connection is closed, since the rest of the body would be in the way
		if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 "+status) {
			t.Errorf("%s: %v %q", header, err, all)
		}
	}
}

func TestSlowReader(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.WriteWait = 250 * time.Millisecond })
	h.large = 24 << 20 // more than the kernel takes off our hands
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: souk\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"query\":\"{ large }\"}")
	<-h.given // up: the handler has returned without our reading a byte
	if n, _ := io.Copy(io.Discard, conn); n >= 24<<20 {
		t.Errorf("read %d bytes", n)
	}
}

// A connection serves on after an answer, whatever deadlines that one had.
func TestConnectionIsKept(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.ReadWait, c.WriteWait = 250*time.Millisecond, 250*time.Millisecond })
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, query := range []string{"{ hello }", "{ slow }", "{ hello }"} {
		body := fmt.Sprintf(`{"query":"%s"}`, query)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: souk\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if strings.Contains(query, "slow") {
			<-h.started
			time.AfterFunc(300*time.Millisecond, func() { close(h.release) }) // longer than either deadline
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(query, err)
		}
		if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 {
			t.Errorf("%s: %s %s %v", query, res.Status, text, err)
		}
	}
}

func TestRefusedIsHeard(t *testing.T) {
	codes := make(chan string, 10)
	h := open(t, func(c *transport.Config) { c.Refused = func(_ *http.Request, code string) { codes <- code } })
	h.ask(t, "POST", "", strings.NewReader(`{"query":"{ nonsense }"}`), "Content-Type: application/json") // an operation, if a bad one
	h.ask(t, "POST", "", strings.NewReader(`[]`), "Content-Type: application/json")
	h.ask(t, "GET", "?query={hello}", nil, "Authorization: Bearer forged")
	if got := []string{<-codes, <-codes}; !slices.Equal(got, []string{"BAD_REQUEST", "UNAUTHENTICATED"}) {
		t.Error(got)
	}
}

// Who is turned away hears so in the format asked for, before a body has come; one that never comes ends the connection.
func TestTurnAway(t *testing.T) {
	codes := make(chan string, 10)
	h := transport.New(transport.Config{Refused: func(_ *http.Request, code string) { codes <- code }, ReadWait: 250 * time.Millisecond})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.TurnAway(w, r, 7, []byte(`{"errors":[]}`)) }))
	defer s.Close()
	for accept, media := range map[string]string{modern: modern, older: older, "": older, "text/event-stream": older, "*/*": older} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, strings.NewReader(`{"query":"{ hello }"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 429 || res.Header.Get("Retry-After") != "7" || string(body) != `{"errors":[]}` || res.Header.Get("Content-Type") != media+"; charset=utf-8" || <-codes != "THROTTLED" {
			t.Errorf("%s: %s %s %v", accept, res.Status, body, res.Header)
		}
	}
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: souk\r\nContent-Length: 100\r\n\r\n{")
	if all, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 429") {
		t.Errorf("%v %q", err, all)
	}
}

func TestHangUp(t *testing.T) {
	h := open(t, nil)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req, _ := http.NewRequest("POST", h.url, strings.NewReader(`{"query":"{ slow }"}`))
		req.Header.Set("Content-Type", "application/json")
		req.Close = true
		ctx, cancel := contextThatEndsAfter(h.started)
		defer cancel()
		http.DefaultClient.Do(req.WithContext(ctx))
	}()
	<-gone
	if field := <-h.ended; field != "slow" {
		t.Error(field)
	}
}
