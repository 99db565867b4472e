package supergraph

import (
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// A Coordinate names a field of a type.
type Coordinate struct{ Type, Field string }

// Rules say who may see which field; a field without a rule is everybody's.
type Rules map[Coordinate]Rule

// A Rule is what a caller must be to see a field.
type Rule struct {
	Authenticated bool         // signed in
	Scopes        [][][]string // of each element, one alternative whose scopes the caller holds all
	Never         bool         // guarded by a directive that this gateway cannot judge, so closed to all
}

// Verdict is what a rule says of a caller.
type Verdict int

// The verdicts, best first.
const (
	Allowed Verdict = iota
	Unauthenticated
	Forbidden
)

// Judge tells whether a caller may pass; has reports the caller's scopes.
func (r Rule) Judge(signedIn bool, has func(scope string) bool) Verdict {
	enough := !r.Never
	for _, any := range r.Scopes {
		enough = enough && slices.ContainsFunc(any, func(all []string) bool {
			return !slices.ContainsFunc(all, func(scope string) bool { return !has(scope) })
		})
	}
	switch {
	case !signedIn && (r.Authenticated || !enough):
		return Unauthenticated
	case !enough:
		return Forbidden
	}
	return Allowed
}

func (r Rule) open() bool { return !r.Authenticated && !r.Never && len(r.Scopes) == 0 }

func (r Rule) and(o Rule) Rule {
	return Rule{
		Authenticated: r.Authenticated || o.Authenticated,
		Never:         r.Never || o.Never,
		Scopes:        slices.Concat(r.Scopes, o.Scopes),
	}
}

// readRules joins, for each field, its own rule with those of the type that has it and of the type it returns. A field
// of an interface is guarded by the rules of every object behind it, since a selection on the interface reaches them all.
func readRules(types ast.DefinitionList, objects map[string][]string) (Rules, error) {
	ofType := map[string]Rule{}
	for _, d := range types {
		r, err := rule(d.Directives)
		if err != nil {
			return nil, fmt.Errorf("supergraph: type %s: %w", d.Name, err)
		}
		ofType[d.Name] = r
	}
	rules := Rules{}
	for _, d := range types {
		if d.Kind != ast.Object && d.Kind != ast.Interface {
			continue
		}
		for _, f := range d.Fields {
			own, err := rule(f.Directives)
			if err != nil {
				return nil, fmt.Errorf("supergraph: field %s.%s: %w", d.Name, f.Name, err)
			}
			if r := own.and(ofType[d.Name]).and(ofType[f.Type.Name()]); !r.open() {
				rules[Coordinate{d.Name, f.Name}] = r
			}
		}
	}
	for iface, names := range objects {
		d := types.ForName(iface)
		if d == nil {
			continue
		}
		for _, f := range d.Fields {
			at := Coordinate{iface, f.Name}
			r := rules[at]
			for _, o := range names {
				r = r.and(rules[Coordinate{o, f.Name}])
			}
			if !r.open() {
				rules[at] = r
			}
		}
	}
	return rules, nil
}

func rule(ds ast.DirectiveList) (Rule, error) {
	var r Rule
	for _, d := range ds {
		switch d.Name {
		case "authenticated":
			r.Authenticated = true
		case "policy":
			r.Never = true
		case "requiresScopes":
			arg := d.Arguments.ForName("scopes")
			if arg == nil {
				return Rule{}, fmt.Errorf("@requiresScopes names no scopes")
			}
			var any [][]string
			for _, alternative := range arg.Value.Children {
				var all []string
				for _, scope := range alternative.Value.Children {
					all = append(all, scope.Value.Raw)
				}
				any = append(any, all)
			}
			r.Scopes = append(r.Scopes, any)
		}
	}
	return r, nil
}
