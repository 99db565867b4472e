package typesense

import (
	"encoding/json"
	"regexp"
	"strings"
)

// field is one line of a collection's schema, written as Typesense writes it.
type field struct {
	Facet          bool     `json:"facet"`
	Index          bool     `json:"index"`
	Infix          bool     `json:"infix"`
	Locale         string   `json:"locale"`
	Name           string   `json:"name"`
	Optional       bool     `json:"optional"`
	Sort           bool     `json:"sort"`
	Stem           bool     `json:"stem"`
	StemDictionary string   `json:"stem_dictionary"`
	Store          bool     `json:"store"`
	Symbols        []string `json:"symbols_to_index,omitempty"`
	Separators     []string `json:"token_separators,omitempty"`
	Type           string   `json:"type"`

	kind    kind
	array   bool
	path    []string
	pattern *regexp.Regexp // set when the name stands for many fields
	words   tokenizer
}

// isPattern tells a name such as ".*" or "attributes.*" that stands for fields to come.
func isPattern(name string) bool { return strings.Contains(name, ".*") }

// searchable says whether the field can be named in query_by.
func (f *field) searchable() bool { return f.kind == kindString && f.Index }

// concrete says whether the field has values of its own, rather than describing others.
func (f *field) concrete() bool {
	return f.pattern == nil && f.kind != kindAuto && f.kind != kindAutoString && f.kind != kindObject
}

// schema is a collection's declaration; it never changes, a new one takes its place.
type schema struct {
	CreatedAt    int64           `json:"created_at"`
	CurationSets []string        `json:"curation_sets"`
	DefaultSort  string          `json:"default_sorting_field"`
	Nested       bool            `json:"enable_nested_fields"`
	Fields       []*field        `json:"fields"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
	Name         string          `json:"name"`
	Symbols      []string        `json:"symbols_to_index"`
	SynonymSets  []string        `json:"synonym_sets"`
	Separators   []string        `json:"token_separators"`

	byName   map[string]*field
	patterns []*field
	checks   []*field // concrete fields in the order Typesense checks them
}

// settle derives what the declaration implies; it is called once, before the schema is used.
func (s *schema) settle() *apiError {
	s.byName = make(map[string]*field, len(s.Fields))
	s.patterns, s.checks = nil, nil
	for _, f := range s.Fields {
		k, array, ok := kindOf(f.Type)
		if !ok {
			return badRequest("Field `%s` has an invalid data type `%s`, see docs for supported data types.", f.Name, f.Type)
		}
		f.kind, f.array, f.path = k, array, []string{f.Name}
		if s.Nested {
			f.path = strings.Split(f.Name, ".")
		}
		f.words = tokenizer{separators: symbolsOf(f.Separators, s.Separators), symbols: symbolsOf(f.Symbols, s.Symbols)}
		if isPattern(f.Name) {
			re, err := regexp.Compile("^(?:" + f.Name + ")$")
			if err != nil {
				return badRequest("Field `%s` is not a valid regular expression.", f.Name)
			}
			f.pattern = re
		}
		if f.pattern != nil || k == kindAuto || k == kindAutoString {
			s.patterns = append(s.patterns, f)
		}
		if f.concrete() {
			s.checks = append(s.checks, f)
		}
		if old := s.byName[f.Name]; old == nil || f.concrete() {
			s.byName[f.Name] = f
		}
	}
	s.checks = inCheckOrder(s.checks)
	return nil
}

func symbolsOf(own, common []string) string {
	if len(own) > 0 {
		return strings.Join(own, "")
	}
	return strings.Join(common, "")
}

// field returns the concrete field of a name, or nil.
func (s *schema) field(name string) *field {
	if f := s.byName[name]; f != nil && f.concrete() {
		return f
	}
	return nil
}

// with returns the schema with other fields.
func (s *schema) with(fields []*field) (*schema, *apiError) {
	next := *s
	next.Fields = make([]*field, len(fields))
	for i, f := range fields { // copies, because readers still hold the old ones
		own := *f
		next.Fields[i] = &own
	}
	if err := next.settle(); err != nil {
		return nil, err
	}
	return &next, nil
}

// matching returns the declared fields a name in a request means: itself, or the children of an object.
func (s *schema) matching(name string) []*field {
	if f := s.field(name); f != nil {
		return []*field{f}
	}
	var out []*field
	if f := s.byName[name]; f != nil && f.kind == kindObject {
		for _, c := range s.Fields {
			if c.concrete() && strings.HasPrefix(c.Name, name+".") {
				out = append(out, c)
			}
		}
	} else if isPattern(name) || strings.HasSuffix(name, "*") {
		prefix := strings.TrimRight(name, ".*")
		for _, c := range s.Fields {
			if c.concrete() && strings.HasPrefix(c.Name, prefix) {
				out = append(out, c)
			}
		}
	}
	return out
}

// encode renders the schema as the log keeps it.
func (s *schema) encode() ([]byte, error) { return json.Marshal(s) }

func decodeSchema(b []byte) (*schema, error) {
	var s schema
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if err := s.settle(); err != nil {
		return nil, err
	}
	return &s, nil
}

// describe renders the schema as GET /collections/{name} does.
func (s *schema) describe(documents int) map[string]any {
	out := map[string]any{
		"created_at": s.CreatedAt, "curation_sets": list(s.CurationSets), "default_sorting_field": s.DefaultSort,
		"enable_nested_fields": s.Nested, "fields": s.Fields, "name": s.Name, "num_documents": documents,
		"symbols_to_index": list(s.Symbols), "synonym_sets": list(s.SynonymSets), "token_separators": list(s.Separators),
	}
	if len(s.Metadata) > 0 {
		out["metadata"] = s.Metadata
	}
	return out
}

// list makes sure that nothing is written as [] rather than null.
func list(s []string) []string { return append([]string{}, s...) }
