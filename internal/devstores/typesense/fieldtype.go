package typesense

import "strings"

// kind is what a field holds, apart from whether it holds several.
type kind int

const (
	kindString kind = iota
	kindInt32
	kindInt64
	kindFloat
	kindBool
	kindGeo
	kindObject
	kindAuto       // decided by the first document
	kindAutoString // string or string[], decided by the first document; other values become strings
	kindStored     // accepted and stored, never indexed
)

var kinds = map[string]kind{
	"string": kindString, "int32": kindInt32, "int64": kindInt64, "float": kindFloat, "bool": kindBool,
	"geopoint": kindGeo, "object": kindObject, "auto": kindAuto, "string*": kindAutoString,
	"geopolygon": kindStored, "image": kindStored,
}

// kindOf reads a type's name; ok is false for a name Typesense does not know.
func kindOf(name string) (k kind, array, ok bool) {
	base, array := strings.CutSuffix(name, "[]")
	k, ok = kinds[base]
	if array && (k == kindAuto || k == kindAutoString || k == kindStored) {
		return k, array, false
	}
	return k, array, ok
}

func (k kind) numeric() bool {
	return k == kindInt32 || k == kindInt64 || k == kindFloat || k == kindBool
}

// noun is how Typesense names the kind when a document gets it wrong.
func (k kind) noun() string {
	switch k {
	case kindInt32:
		return "an int32"
	case kindInt64:
		return "an int64"
	case kindFloat:
		return "a float"
	case kindBool:
		return "a bool"
	case kindGeo:
		return "a geopoint"
	case kindObject:
		return "an object"
	default:
		return "a string"
	}
}
