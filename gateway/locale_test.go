package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestLocale(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		name, operation, variables, want string
		status                           int
	}{
		{"none", `{ asker { country language currency } }`, ``, `{"country":"","language":"","currency":""}`, 200},
		{"literals", `query @inContext(country: "IN", language: "hi", currency: "INR") { asker { country language currency } }`, ``,
			`{"country":"IN","language":"hi","currency":"INR"}`, 200},
		{"small letters", `query Named @inContext(country: "in", language: "PT-br", currency: "inr") { asker { country language currency } }`, ``,
			`{"country":"IN","language":"pt-BR","currency":"INR"}`, 200},
		{"variables", `query($c: CountryCode, $l: LanguageCode = "fr") @inContext(country: $c, language: $l) { asker { country language currency } }`, `{"c":"DE"}`,
			`{"country":"DE","language":"fr","currency":""}`, 200},
		{"same document, other variables", `query($c: CountryCode, $l: LanguageCode = "fr") @inContext(country: $c, language: $l) { asker { country language currency } }`,
			`{"c":null,"l":"en"}`, `{"country":"","language":"en","currency":""}`, 200},
		{"a variable named as the plan's own", `query($a: CountryCode) @inContext(country: $a) { greeting(name: "x") asker { country } }`, `{"a":"DE"}`,
			`{"country":"DE"}`, 200},
		{"no such country", `query Named @inContext(country: "XQ") { asker { country } }`, ``, `"@inContext(country:): \"XQ\" is not an ISO 3166-1 alpha-2 country code"`, 400},
		{"a continent", `query Named @inContext(country: "150") { asker { country } }`, ``, `is not an ISO 3166-1 alpha-2 country code`, 400},
		{"no such language", `query Named @inContext(language: "klingonese") { asker { country } }`, ``, `is not a BCP 47 language tag`, 400},
		{"no such currency", `query Named @inContext(currency: "LOOT") { asker { country } }`, ``, `is not an ISO 4217 currency code`, 400},
		{"a bad variable", `query($c: CurrencyCode) @inContext(currency: $c) { asker { country } }`, `{"c":"ZZZZ"}`, `is not an ISO 4217 currency code`, 400},
		{"a number", `query($c: CurrencyCode) @inContext(currency: $c) { asker { country } }`, `{"c":7}`, `$c must be a text`, 400},
		{"on a field", `{ asker @inContext(country: "IN") { country } }`, ``, `GRAPHQL_VALIDATION_FAILED`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			variables := c.variables
			if variables == "" {
				variables = "null"
			}
			res, body := h.ask(t, fmt.Sprintf(`{"query":%s,"variables":%s}`, quoted(c.operation), variables), "Accept: application/graphql-response+json")
			if c.status != 200 {
				want, _ := json.Marshal(c.want)
				if res.StatusCode != c.status || !strings.Contains(body, strings.Trim(c.want, `"`)) && !strings.Contains(body, string(want)) {
					t.Errorf("%s %s", res.Status, body)
				}
				return
			}
			if greeted := `"greeting":"hello",`; strings.Replace(body, greeted, "", 1) != `{"data":{"asker":`+c.want+`}}` {
				t.Errorf("%s %s", res.Status, body)
			}
		})
	}
}
