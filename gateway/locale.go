package gateway

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/internal/viewer"
)

// locales reads @inContext(country, language, currency) off operations: for whom prices, words and delivery are meant.
type locales struct {
	documents *lru.Cache[[sha256.Size]byte, []argument]
}

const documentsRead = 2_000

func newLocales() *locales {
	documents, _ := lru.New[[sha256.Size]byte, []argument](documentsRead) // fails for a size below 1 alone
	return &locales{documents}
}

// An argument of @inContext: a text, or a variable with the text that stands for it when it is not given.
type argument struct {
	name, text, variable string
}

// kinds says for each argument how a text is read and where it goes.
var kinds = map[string]struct {
	what string
	read func(text string) (string, error)
	at   func(*viewer.Viewer) *string
}{
	"country":  {"an ISO 3166-1 alpha-2 country code", readCountry, func(v *viewer.Viewer) *string { return &v.Country }},
	"language": {"a BCP 47 language tag", readLanguage, func(v *viewer.Viewer) *string { return &v.Language }},
	"currency": {"an ISO 4217 currency code", readCurrency, func(v *viewer.Viewer) *string { return &v.Currency }},
}

// applied returns the viewer with what the operation of a valid request says about its locale.
func (l *locales) applied(who viewer.Viewer, r engine.Request) (viewer.Viewer, error) {
	if !strings.Contains(r.Query, "inContext") {
		return who, nil
	}
	arguments, err := l.arguments(r.Query, r.OperationName)
	if err != nil {
		return who, err
	}
	var variables map[string]json.RawMessage
	for _, a := range arguments {
		text := a.text
		if a.variable != "" {
			if variables == nil && r.Variables != nil {
				if err := json.Unmarshal(r.Variables, &variables); err != nil {
					return who, badLocale(a.name, "the variables are not an object")
				}
			}
			if given, ok := variables[a.variable]; ok {
				text = ""
				if json.Unmarshal(given, &text) != nil {
					return who, badLocale(a.name, fmt.Sprintf("$%s must be a text", a.variable))
				}
			}
		}
		if text == "" { // null, or a variable that was not given: no wish
			continue
		}
		kind := kinds[a.name]
		value, err := kind.read(text)
		if err != nil {
			return who, badLocale(a.name, fmt.Sprintf("%q is not %s", text, kind.what))
		}
		*kind.at(&who) = value
	}
	return who, nil
}

// arguments finds those of one operation; parsed once for each document.
func (l *locales) arguments(query, operation string) ([]argument, error) {
	key := sha256.Sum256([]byte(operation + "\x00" + query))
	if known, ok := l.documents.Get(key); ok {
		return known, nil
	}
	document, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		return nil, fmt.Errorf("read @inContext: %w", err) // the engine has found it well-formed
	}
	arguments := []argument{}
	if op := document.Operations.ForName(operation); op != nil {
		if directive := op.Directives.ForName("inContext"); directive != nil {
			for _, given := range directive.Arguments {
				if _, known := kinds[given.Name]; known {
					arguments = append(arguments, argumentOf(op, given))
				}
			}
		}
	}
	l.documents.Add(key, arguments)
	return arguments, nil
}

func argumentOf(op *ast.OperationDefinition, given *ast.Argument) argument {
	a := argument{name: given.Name}
	value := given.Value
	if value.Kind == ast.Variable {
		a.variable = value.Raw
		value = nil
		if definition := op.VariableDefinitions.ForName(a.variable); definition != nil {
			value = definition.DefaultValue
		}
	}
	if value != nil && value.Kind != ast.NullValue {
		a.text = value.Raw
	}
	return a
}

func badLocale(argument, problem string) engine.Errors {
	return engine.Errors{{
		Message:    fmt.Sprintf("@inContext(%s:): %s", argument, problem),
		Extensions: map[string]any{"code": engine.CodeInput, "argument": argument},
	}}
}

func readCountry(text string) (string, error) {
	region, err := language.ParseRegion(text)
	if err != nil {
		return "", err
	}
	if len(text) != 2 || !region.IsCountry() {
		return "", fmt.Errorf("%s is no country", text)
	}
	return region.String(), nil
}

func readLanguage(text string) (string, error) {
	tag, err := language.Parse(text)
	if err != nil {
		return "", err
	}
	return tag.String(), nil
}

func readCurrency(text string) (string, error) {
	unit, err := currency.ParseISO(text)
	if err != nil {
		return "", err
	}
	return unit.String(), nil
}
