package supergraph

import (
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// Hints say for how long values may be kept, by @cacheControl as Apollo's servers understand it, and never what a rule guards.
type Hints map[Coordinate]Hint

// A Hint is what is known about one field.
type Hint struct {
	MaxAge   int  // seconds
	Inherits bool // from the object that the field is of, instead
	Private  bool // nobody but the caller may have it
}

// readHints joins, for each field, its own hint with that of the type it returns. A field of an interface is kept no longer than that of
// any object behind it.
func readHints(types ast.DefinitionList, objects map[string][]string, rules Rules) Hints {
	kinds := map[string]*ast.Definition{}
	for _, d := range types {
		kinds[d.Name] = d
	}
	hints := Hints{}
	for _, d := range types {
		if d.Kind != ast.Object && d.Kind != ast.Interface {
			continue
		}
		for _, f := range d.Fields {
			at := Coordinate{d.Name, f.Name}
			returned := kinds[f.Type.Name()]
			h := Hint{Inherits: !root(d.Name) && (returned == nil || !returned.IsCompositeType())}
			if returned != nil {
				h = h.said(returned.Directives)
			}
			h = h.said(f.Directives)
			_, guarded := rules[at]
			h.Private = h.Private || guarded
			hints[at] = h
		}
	}
	for iface, names := range objects {
		d := kinds[iface]
		if d == nil {
			continue
		}
		for _, f := range d.Fields {
			at := Coordinate{iface, f.Name}
			for _, object := range names {
				hints[at] = hints[at].least(hints[Coordinate{object, f.Name}])
			}
		}
	}
	return hints
}

// said applies a directive, which goes before what was known.
func (h Hint) said(ds ast.DirectiveList) Hint {
	d := ds.ForName("cacheControl")
	if d == nil {
		return h
	}
	if a := d.Arguments.ForName("inheritMaxAge"); a != nil && a.Value.Raw == "true" {
		h.Inherits = true
	}
	if a := d.Arguments.ForName("maxAge"); a != nil {
		h.MaxAge, _ = strconv.Atoi(a.Value.Raw)
		h.MaxAge, h.Inherits = max(0, h.MaxAge), false
	}
	if a := d.Arguments.ForName("scope"); a != nil {
		h.Private = a.Value.Raw == "PRIVATE"
	}
	return h
}

func (h Hint) least(o Hint) Hint {
	private := h.Private || o.Private
	if h.Inherits || !o.Inherits && o.MaxAge < h.MaxAge {
		h = o
	}
	h.Private = private
	return h
}
