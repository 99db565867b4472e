package playground

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is embedded was built from what lies beside it.
func TestDistIsFresh(t *testing.T) {
	sources, err := filepath.Glob("src/*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(sources)
	sum := sha256.New()
	for _, name := range slices.Concat([]string{"index.html", "package-lock.json"}, sources, []string{"vite.config.js"}) {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write([]byte(filepath.ToSlash(name) + "\x00"))
		sum.Write(content)
		sum.Write([]byte{0})
	}
	stamp, err := dist.ReadFile("dist/sources.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(stamp)) != hex.EncodeToString(sum.Sum(nil)) {
		t.Error("dist is stale: run `npm ci && npm run build` in gateway/playground")
	}
}

// Nothing that the page needs comes from elsewhere.
func TestNothingFromElsewhere(t *testing.T) {
	if _, err := Handler(Config{Endpoint: "/graphql"}); err != nil {
		t.Fatal(err)
	}
	page, err := dist.ReadFile("dist/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, attribute := range []string{`src="http`, `href="http`, `src="//`, `href="//`} {
		if strings.Contains(string(page), attribute) {
			t.Errorf("the page has %s", attribute)
		}
	}
}
