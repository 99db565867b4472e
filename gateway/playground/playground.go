// Package playground serves GraphiQL with the shop's example operations and, beside each answer, the plan that led to it.
//
// Everything it needs is embedded, so it works without a network. The page is built by `npm ci && npm run build` in this folder.
package playground

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
)

//go:embed dist
var dist embed.FS

// Example is an operation that visitors can run as it is.
type Example struct {
	Group     string         `json:"group,omitempty"` // heading under which it is listed
	Name      string         `json:"name"`
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables,omitempty"`
}

// Config is what the page says about the shop.
type Config struct {
	Endpoint string           // path of the graph
	Examples func() []Example // what to offer; asked for each page, since ids come to be known as the shop fills; nil for none
	Notice   string           // which accounts there are; line breaks are kept
}

// place is where the page looks for its configuration.
var place = regexp.MustCompile(`(<script type="application/json" id="souk">).*?(</script>)`)

// The page may load from us and talk to us, nobody else. Monaco sets styles as it goes.
const policy = "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; " +
	"font-src 'self' data:; img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page at / and what it loads under /playground/.
func Handler(c Config) (http.Handler, error) {
	page, err := dist.ReadFile("dist/index.html")
	if err != nil {
		return nil, fmt.Errorf("playground: %w", err)
	}
	if !place.Match(page) {
		return nil, fmt.Errorf("playground: the page has no place for its configuration")
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		page, err := c.in(page)
		if err != nil {
			http.Error(w, "the playground cannot be shown", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Write(page)
	})
	mux.HandleFunc("GET /playground/assets/{name}", asset)
	return mux, nil
}

// in puts the configuration where the page looks for it.
func (c Config) in(page []byte) ([]byte, error) {
	says := struct {
		Endpoint string    `json:"endpoint"`
		Examples []Example `json:"examples"`
		Notice   string    `json:"notice"`
	}{c.Endpoint, []Example{}, c.Notice}
	if c.Examples != nil {
		says.Examples = append(says.Examples, c.Examples()...)
	}
	config, err := json.Marshal(says) // escapes <, so it cannot end the script element
	if err != nil {
		return nil, err
	}
	return place.ReplaceAllFunc(page, func(found []byte) []byte {
		parts := place.FindSubmatch(found)
		return bytes.Join([][]byte{parts[1], config, parts[2]}, nil)
	}), nil
}

// asset serves one file. Its name holds a hash of its content, so browsers may keep it for good.
func asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	zipped, err := dist.ReadFile("dist/assets/" + name + ".gz")
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mediaType(name))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(zipped)
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		http.Error(w, "the asset is broken", http.StatusInternalServerError)
		return
	}
	io.Copy(w, plain)
}

func mediaType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js": // not left to the machine's table of types, which some systems get wrong
		return "text/javascript; charset=utf-8"
	case ".ttf":
		return "font/ttf"
	default:
		return mime.TypeByExtension(ext)
	}
}
