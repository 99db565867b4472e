package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/frontends"
	"github.com/souk-shop/souk/gateway/playground"
)

// The demo shop as a visitor finds it: every example of the playground runs in its order, a feed is imported twice to the same
// effect, and after a restart all of it is there without being brought again.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	d := startDemo(t, dir)
	if !strings.Contains(d.said(), "demo goods: ") {
		t.Errorf("the shop says %s", d.said())
	}
	t.Run("examples", d.examples)
	t.Run("import", d.imports)
	d.stop()

	again := startDemo(t, dir)
	if strings.Contains(again.said(), "demo goods: ") {
		t.Errorf("the goods were brought again: %s", again.said())
	}
	again.stop()
}

// A shop without the demo offers nothing that only the demo has.
func TestExamplesWithoutTheDemo(t *testing.T) {
	t.Parallel()
	var shop env
	examples, err := json.Marshal(shop.examples())
	if err != nil || !strings.Contains(string(examples), `"Sign up"`) {
		t.Fatalf("%s, %v", examples, err)
	}
	for _, of := range []string{"@souk.test", "open-sesame-souk", `"{`} {
		if strings.Contains(string(examples), of) {
			t.Errorf("%s is offered", of)
		}
	}
}

// A demoShop is `souk dev` in this process.
type demoShop struct {
	base   string
	stderr *bytes.Buffer
	stop   func()
}

func (d demoShop) said() string { return d.stderr.String() }

func startDemo(t *testing.T, dir string) demoShop {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	says, stdout := io.Pipe()
	d, ended := demoShop{stderr: &bytes.Buffer{}}, make(chan error, 1)
	quiet := func(name string) string { return map[string]string{"SOUK_LOG_LEVEL": "error"}[name] }
	go func() {
		err := souk(ctx, []string{"dev", "--data", dir, "--addr", "127.0.0.1:0"}, quiet, stdout, d.stderr)
		stdout.Close()
		ended <- err
	}()
	stopped := false
	d.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("souk dev: %v", err)
		}
	}
	t.Cleanup(d.stop)
	line, err := bufio.NewReader(says).ReadString('\n')
	if err != nil {
		t.Fatalf("souk dev ended before it was ready: %v; %s", <-ended, d.said())
	}
	go io.Copy(io.Discard, says)
	d.base = regexp.MustCompile(`http://[^/]+`).FindString(line)
	return d
}

// examples runs what the playground offers, as who it says.
func (d demoShop) examples(t *testing.T) {
	res, err := http.Get(d.base + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Examples []playground.Example
		Notice   string
	}
	found := regexp.MustCompile(`<script type="application/json" id="souk">(.*?)</script>`).FindSubmatch(page)
	if found == nil || json.Unmarshal(found[1], &config) != nil {
		t.Fatal("the playground has no configuration")
	}
	for _, account := range []string{customer, seller, staff, "open-sesame-souk"} {
		if !strings.Contains(config.Notice, account) {
			t.Errorf("the notice does not name %s", account)
		}
	}
	caller := shop.New(d.base + "/graphql")
	for _, x := range config.Examples {
		t.Run(x.Name, func(t *testing.T) {
			answer, err := try(t.Context(), caller, x)
			if err != nil {
				t.Fatal(err)
			}
			for field, value := range answer {
				var payload struct {
					UserErrors shop.UserErrors
					Session    struct{ AccessToken string }
					Result     struct {
						Typename string `json:"__typename"`
					}
				}
				if string(value) == "null" {
					t.Errorf("%s is null", field)
				}
				json.Unmarshal(value, &payload) // a list, say, is no payload
				if err := payload.UserErrors.Err(); err != nil {
					t.Error(err)
				}
				if token := payload.Session.AccessToken; token != "" {
					caller = caller.As(token)
				}
				if result := payload.Result.Typename; result != "" && result != "CheckoutPlaced" {
					t.Errorf("checkout: %s", value)
				}
			}
		})
	}
}

// try sends an operation; of a subscription it hears the first value.
func try(ctx context.Context, caller *shop.Client, x playground.Example) (answer map[string]json.RawMessage, err error) {
	if !strings.Contains(x.Query, "\nsubscription ") {
		return shop.Do[map[string]json.RawMessage](ctx, caller, x.Query, x.Variables)
	}
	values, err := shop.Subscribe[map[string]json.RawMessage](ctx, caller, x.Query, x.Variables)
	if err != nil {
		return nil, err
	}
	for answer, err := range values {
		return answer, err
	}
	return nil, io.ErrUnexpectedEOF
}

const smallFeed = `[
  {"name": "Brass Astrolabe", "brand": "Zarqali", "price": 129.5, "categories": ["Home", "Curiosities"], "image": "https://pictures.souk.test/1.jpg"},
  {"name": "Sand Timer", "brand": "Zarqali", "price": "not a price", "categories": ["Home", "Curiosities"]},
  {"name": "Unclosed", "price": 3, "categories": ["Home"
  {"name": "Brass Compass", "brand": "Zarqali", "price": 39, "categories": ["Home", "Curiosities"]},
  {"name": "Brass Compass", "brand": "Zarqali", "price": 39, "categories": ["Home", "Curiosities"]},
  {"name": "Nameless category", "price": 5, "categories": []}
]`

const smallMapping = `
externalId: "small-{#name}"
title: "{name}"
description: "From the small feed."
brand: "{brand}"
categoryPath: "{categories}"
imageUrls: ["{image}"]
variants: {price: "{price}", currency: USD, weightGrams: "{weight|400}"}
`

// imports brings a feed with broken rows twice.
func (d demoShop) imports(t *testing.T) {
	feed, mapping := filepath.Join(t.TempDir(), "small.json"), filepath.Join(t.TempDir(), "small.yml")
	for file, text := range map[string]string{feed: smallFeed, mapping: smallMapping} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"6 rows: 2 products (2 new, 0 changed, 0 as they were), 60 units stocked, 1 rows repeated, 3 refused",
		"6 rows: 2 products (0 new, 0 changed, 2 as they were), 0 units stocked, 1 rows repeated, 3 refused",
	} {
		var stdout, stderr bytes.Buffer
		err := souk(t.Context(), []string{"import", "products", feed, "--mapping", mapping, "--url", d.base + "/graphql",
			"--email", seller, "--password", "open-sesame-souk", "--stock", "30"}, os.Getenv, &stdout, &stderr)
		if err == nil || err.Error() != "3 of 6 rows were refused" {
			t.Errorf("the import ends with %v", err)
		}
		if !strings.HasPrefix(stdout.String(), want) {
			t.Errorf("the import says %s, not %s", stdout.String(), want)
		}
		for _, row := range []string{"row 2 (small-", "row 3: ", "row 6"} {
			if !strings.Contains(stderr.String(), row) {
				t.Errorf("nothing is said of %s in %s", row, stderr.String())
			}
		}
	}
	found, err := shop.Do[struct {
		Products struct {
			TotalCount int
			Nodes      []struct{ Title string }
		}
	}](t.Context(), shop.New(d.base+"/graphql"), frontends.Operation("web/Browse"), map[string]any{"category": "curiosities", "first": 24})
	if err != nil || found.Products.TotalCount != 2 {
		t.Errorf("buyers find %v: %v", found, err)
	}
}
