package supergraph

import "github.com/vektah/gqlparser/v2/ast"

// Buckets say which values, in the arguments of fields of the root, callers draw from a common bucket by: those marked with @bucket.
type Buckets map[Coordinate][]Bucket

// A Bucket is one such value.
type Bucket struct {
	Name     string // of the kind of bucket
	Argument string
	Path     []string // from the argument's value to the one that is marked, by fields of input objects
}

const deepest = 8 // input objects inside each other; they may be recursive

func readBuckets(types map[string]*ast.Definition) Buckets {
	buckets := Buckets{}
	for name, d := range types {
		if !root(name) {
			continue
		}
		for _, f := range d.Fields {
			at := Coordinate{name, f.Name}
			for _, a := range f.Arguments {
				if kind := bucketName(a.Directives); kind != "" {
					buckets[at] = append(buckets[at], Bucket{Name: kind, Argument: a.Name})
				}
				for _, b := range bucketsBelow(types, a.Type.Name(), nil) {
					b.Argument = a.Name
					buckets[at] = append(buckets[at], b)
				}
			}
		}
	}
	return buckets
}

func bucketsBelow(types map[string]*ast.Definition, input string, path []string) (out []Bucket) {
	d := types[input]
	if d == nil || d.Kind != ast.InputObject || len(path) == deepest {
		return nil
	}
	for _, f := range d.Fields {
		below := append(path[:len(path):len(path)], f.Name)
		if kind := bucketName(f.Directives); kind != "" {
			out = append(out, Bucket{Name: kind, Path: below})
		}
		out = append(out, bucketsBelow(types, f.Type.Name(), below)...)
	}
	return out
}

func bucketName(ds ast.DirectiveList) string {
	if d := ds.ForName("bucket"); d != nil {
		if a := d.Arguments.ForName("name"); a != nil {
			return a.Value.Raw
		}
	}
	return ""
}
