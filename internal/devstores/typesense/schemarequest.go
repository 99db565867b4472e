package typesense

import (
	"encoding/json"
	"slices"
)

// fieldRequest is a field as a client declares it: what is left out has a default.
type fieldRequest struct {
	Name           string          `json:"name"`
	Type           string          `json:"type"`
	Facet          *bool           `json:"facet"`
	Optional       *bool           `json:"optional"`
	Index          *bool           `json:"index"`
	Sort           *bool           `json:"sort"`
	Infix          *bool           `json:"infix"`
	Stem           *bool           `json:"stem"`
	StemDictionary string          `json:"stem_dictionary"`
	Store          *bool           `json:"store"`
	Locale         string          `json:"locale"`
	Drop           bool            `json:"drop"`
	Symbols        []string        `json:"symbols_to_index"`
	Separators     []string        `json:"token_separators"`
	Reference      string          `json:"reference"`
	Embed          json.RawMessage `json:"embed"`
}

// schemaRequest is the body of POST and PATCH /collections.
type schemaRequest struct {
	Name         *string         `json:"name"`
	Fields       []fieldRequest  `json:"fields"`
	DefaultSort  string          `json:"default_sorting_field"`
	Nested       bool            `json:"enable_nested_fields"`
	Symbols      []string        `json:"symbols_to_index"`
	Separators   []string        `json:"token_separators"`
	SynonymSets  *[]string       `json:"synonym_sets"`
	CurationSets *[]string       `json:"curation_sets"`
	Metadata     json.RawMessage `json:"metadata"`
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// field fills in the defaults, which depend on the type.
func (r fieldRequest) field() (*field, *apiError) {
	if r.Name == "" {
		return nil, badRequest("Wrong format for `fields`. It should be an array of objects containing `name`, `type`, `optional` and `facet` properties.")
	}
	if r.Name == "id" {
		return nil, badRequest("Field `id` is reserved and cannot be declared.")
	}
	k, array, ok := kindOf(r.Type)
	if !ok {
		return nil, badRequest("Field `%s` has an invalid data type `%s`, see docs for supported data types.", r.Name, r.Type)
	}
	if r.Reference != "" {
		return nil, badRequest("Field `%s`: references are not supported by the embedded store.", r.Name)
	}
	if len(r.Embed) > 0 && string(r.Embed) != "null" {
		return nil, badRequest("Field `%s`: embeddings are not supported by the embedded store.", r.Name)
	}
	pattern := isPattern(r.Name)
	sortable := (k.numeric() || k == kindGeo) && !array
	index := or(r.Index, true)
	if !index && or(r.Facet, false) {
		return nil, badRequest("Field `%s` cannot be a facet since it's marked as non-indexable.", r.Name)
	}
	if !index && !or(r.Optional, true) {
		return nil, badRequest("Field `%s` must be optional when it is marked as non-indexable.", r.Name)
	}
	return &field{
		Facet: or(r.Facet, false), Index: index, Infix: or(r.Infix, false), Locale: r.Locale, Name: r.Name,
		Optional: or(r.Optional, !index || pattern || k == kindAuto || k == kindAutoString),
		Sort:     or(r.Sort, sortable), Stem: or(r.Stem, false), StemDictionary: r.StemDictionary,
		Store: or(r.Store, true), Symbols: r.Symbols, Separators: r.Separators, Type: r.Type,
	}, nil
}

// newSchema reads a client's declaration of a collection.
func newSchema(body []byte, now int64) (*schema, *apiError) {
	var r schemaRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, badJSON(body, err)
	}
	switch {
	case r.Name == nil:
		return nil, badRequest("Parameter `name` is required.")
	case *r.Name == "":
		return nil, badRequest("Parameter `name` must be a non-empty string.")
	case len(r.Fields) == 0:
		return nil, badRequest("Parameter `fields` is required.")
	}
	s := &schema{
		CreatedAt: now, DefaultSort: r.DefaultSort, Nested: r.Nested, Name: *r.Name, Metadata: r.Metadata,
		Symbols: r.Symbols, Separators: r.Separators,
		SynonymSets: or(r.SynonymSets, nil), CurationSets: or(r.CurationSets, nil),
	}
	for _, fr := range r.Fields {
		f, err := fr.field()
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(s.Fields, func(o *field) bool { return o.Name == f.Name }) {
			return nil, badRequest("There are duplicate field names in the schema.")
		}
		s.Fields = append(s.Fields, f)
	}
	if err := s.settle(); err != nil {
		return nil, err
	}
	for _, f := range s.Fields {
		if f.kind == kindObject && !s.Nested {
			return nil, badRequest("Type `object` or `object[]` can be used only when nested fields are enabled by setting` enable_nested_fields` to true.")
		}
	}
	if s.DefaultSort == "" {
		return s, nil
	}
	switch f := s.field(s.DefaultSort); {
	case f == nil:
		return nil, badRequest("Default sorting field is defined as `%s` but is not found in the schema.", s.DefaultSort)
	case f.array || !f.kind.numeric() && f.kind != kindString, f.kind == kindString && !f.Sort:
		return nil, badRequest("Default sorting field `%s` is not a sortable type.", s.DefaultSort)
	case f.Optional:
		return nil, badRequest("Default sorting field `%s` cannot be an optional field.", s.DefaultSort)
	}
	return s, nil
}

// alter returns the fields after a PATCH, and the answer a client gets for each of its lines.
func (s *schema) alter(lines []fieldRequest) (fields []*field, answer []map[string]any, err *apiError) {
	fields = slices.Clone(s.Fields)
	at := func(name string) int {
		return slices.IndexFunc(fields, func(f *field) bool { return f.Name == name })
	}
	for _, l := range lines {
		if l.Drop {
			i := at(l.Name)
			if i < 0 {
				return nil, nil, badRequest("Field `%s` is not part of collection schema.", l.Name)
			}
			if l.Name == s.DefaultSort {
				return nil, nil, badRequest("Field `%s` is the default sorting field and cannot be dropped.", l.Name)
			}
			fields = slices.Delete(fields, i, i+1)
			answer = append(answer, map[string]any{"drop": true, "embed": nil, "name": l.Name})
			continue
		}
		f, err := l.field()
		if err != nil {
			return nil, nil, err
		}
		if at(l.Name) >= 0 {
			return nil, nil, badRequest("Field `%s` is already part of the schema: To change this field, drop it first before adding it back to the schema.", l.Name)
		}
		fields = append(fields, f)
		answer = append(answer, f.describeAltered())
	}
	return fields, answer, nil
}

// describeAltered renders a field as PATCH does, which tells more than GET.
func (f *field) describeAltered() map[string]any {
	return map[string]any{
		"async_reference": false, "embed": nil, "facet": f.Facet, "hnsw_params": map[string]int{"M": 16, "ef_construction": 200},
		"index": f.Index, "infix": f.Infix, "locale": f.Locale, "name": f.Name, "nested": false, "nested_array": 0,
		"num_dim": 0, "optional": f.Optional, "range_index": false, "reference": "", "sort": f.Sort, "stem": f.Stem,
		"stem_dictionary": f.StemDictionary, "store": f.Store, "symbols_to_index": list(f.Symbols),
		"token_separators": list(f.Separators), "type": f.Type, "vec_dist": "cosine",
	}
}
