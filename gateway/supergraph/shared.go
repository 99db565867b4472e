package supergraph

import "github.com/vektah/gqlparser/v2/ast"

// readShared finds the subscriptions marked @shared: what they tell is the same for whoever listens, and each event says by itself
// how things stand.
func readShared(types ast.DefinitionList) map[Coordinate]bool {
	shared := map[Coordinate]bool{}
	for _, d := range types {
		if d.Name != "Subscription" {
			continue
		}
		for _, f := range d.Fields {
			if f.Directives.ForName("shared") != nil {
				shared[Coordinate{d.Name, f.Name}] = true
			}
		}
	}
	return shared
}
