// Package frontends holds who the graph is for: one folder each, with the operations it sends.
//
// The playground offers them as examples, our own client sends them, and a test checks each against the schema.
package frontends

import (
	"embed"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed web/operations/*.graphql seller/operations/*.graphql examples.yml
var files embed.FS

// Operation returns an operation, such as "web/ProductPage". Asking for one that is not there is a bug.
func Operation(name string) string {
	text, err := operation(name)
	if err != nil {
		panic(err)
	}
	return text
}

// An Example is an operation with values to try it with. A value such as "{variant:LAMP-01}" stands for an id that differs
// from shop to shop.
type Example struct {
	Group     string
	Name      string
	Query     string
	Variables map[string]any
}

// Examples tells the story of a purchase in operations, in order.
func Examples() ([]Example, error) {
	text, err := files.ReadFile("examples.yml")
	if err != nil {
		return nil, err
	}
	var groups []struct {
		Group    string
		Examples []struct {
			Name      string
			Operation string
			Variables map[string]any
		}
	}
	if err := yaml.UnmarshalWithOptions(text, &groups, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("examples.yml: %w", err)
	}
	var all []Example
	for _, g := range groups {
		for _, e := range g.Examples {
			query, err := operation(e.Operation)
			if err != nil {
				return nil, fmt.Errorf("examples.yml: %w", err)
			}
			all = append(all, Example{Group: g.Group, Name: e.Name, Query: query, Variables: e.Variables})
		}
	}
	return all, nil
}

func operation(name string) (string, error) {
	frontend, file, _ := strings.Cut(name, "/")
	text, err := files.ReadFile(frontend + "/operations/" + file + ".graphql")
	if err != nil {
		return "", fmt.Errorf("there is no operation %q", name)
	}
	return string(text), nil
}
