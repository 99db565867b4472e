package supergraph

import (
	"slices"
	"strings"
	"testing"
)

// A field is where it is resolved or may be provided; a union has the members that all of some subgraphs know.
func TestPlacesAndMembers(t *testing.T) {
	s := read(t, "unions")
	for _, c := range []struct {
		typeName, field string
		want            []int
	}{
		{"Query", "press", []int{0}}, {"Query", "radio", []int{1}}, {"Query", "home", []int{0, 1}}, {"Issue", "onAir", []int{1}},
		{"Page", "items", []int{0, 1}}, {"Page", "missing", nil}, {"Missing", "items", nil},
	} {
		if got := s.Places(c.typeName, c.field); !slices.Equal(got, c.want) {
			t.Errorf("%s.%s is in %v, want %v", c.typeName, c.field, got, c.want)
		}
	}
	for _, c := range []struct{ places, want string }{{"0", "Story Photo"}, {"1", "Story Clip"}, {"01", "Story"}} {
		var places []int
		for _, r := range c.places {
			places = append(places, int(r-'0'))
		}
		if got := strings.Join(s.Members("Item", places), " "); got != c.want {
			t.Errorf("in %s, an item is %q, want %q", c.places, got, c.want)
		}
	}
}
