package typesense

import (
	"encoding/json"
	"maps"
)

// preset is a named set of search parameters.
type preset struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// withPreset fills a search up with the parameters of the preset that it names.
func (m *manifest) withPreset(p params) (params, *apiError) {
	name := p["preset"]
	if name == "" {
		return p, nil
	}
	pr, ok := m.Presets[name]
	if !ok {
		return nil, notFound("Not found.")
	}
	values, err := readObject(pr.Value)
	if err != nil {
		return nil, badJSON(pr.Value, err)
	}
	out := params{}
	for k, v := range values {
		out.set(k, v)
	}
	maps.Copy(out, p)
	return out, nil
}

func newPreset(name string, body []byte) (preset, *apiError) {
	var r struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return preset{}, badJSON(body, err)
	}
	if len(r.Value) == 0 {
		return preset{}, badRequest("Missing `value` field.")
	}
	value, err := readObject(r.Value)
	if err != nil {
		return preset{}, badRequest("Bad JSON.")
	}
	return preset{Name: name, Value: writeObject(value)}, nil
}
