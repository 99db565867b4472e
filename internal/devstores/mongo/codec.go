package mongo

import (
	"bytes"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

const (
	// maxDocumentSize is the size of the largest document MongoDB stores.
	maxDocumentSize = 16 << 20
	// maxDepth is how deep values and paths may nest; recursion over hostile input ends here.
	maxDepth = 200
)

// fields names the top-level fields a reader needs; nil means all of them.
type fields map[string]bool

// decode turns BSON into the kit's values and refuses what the kit cannot compare.
func decode(raw []byte) (bson.D, error) { return decodeFields(raw, nil) }

// decodeFields decodes the wanted top-level fields and skips the others unread.
func decodeFields(raw []byte, want fields) (bson.D, error) {
	return decodeDocument(raw, want, maxDepth)
}

func decodeDocument(raw []byte, want fields, depth int) (bson.D, error) {
	doc := bson.D{}
	err := eachElement(raw, depth, func(key []byte, v bsoncore.Value) error {
		if want != nil && !want[string(key)] {
			return nil
		}
		value, err := decodeValue(v, depth-1)
		if err != nil {
			return err
		}
		doc = append(doc, bson.E{Key: string(key), Value: value})
		return nil
	})
	return doc, err
}

func decodeArray(raw []byte, depth int) (bson.A, error) {
	array := bson.A{}
	err := eachElement(raw, depth, func(_ []byte, v bsoncore.Value) error {
		value, err := decodeValue(v, depth-1)
		if err != nil {
			return err
		}
		array = append(array, value)
		return nil
	})
	return array, err
}

var errMalformed = errorf(codeInvalidBSON, "malformed BSON")

// eachElement walks one document or array and refuses bytes that do not add up.
func eachElement(raw []byte, depth int, visit func(key []byte, v bsoncore.Value) error) error {
	if depth <= 0 {
		return errorf(codeOverflow, "document nests deeper than %d levels", maxDepth)
	}
	length, rest, ok := bsoncore.ReadLength(raw)
	if !ok || int(length) != len(raw) || length < 5 || raw[length-1] != 0 {
		return errMalformed
	}
	for rest = rest[:len(rest)-1]; len(rest) > 0; {
		var (
			kind bsontype.Type
			key  []byte
			v    bsoncore.Value
		)
		if kind, rest, ok = bsoncore.ReadType(rest); !ok {
			return errMalformed
		}
		if key, rest, ok = bsoncore.ReadKeyBytes(rest); !ok {
			return errMalformed
		}
		if v, rest, ok = bsoncore.ReadValue(rest, kind); !ok {
			return errMalformed
		}
		if err := visit(key, v); err != nil {
			return err
		}
	}
	return nil
}

func decodeValue(v bsoncore.Value, depth int) (any, error) {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return decodeDocument(v.Data, nil, depth)
	case bson.TypeArray:
		return decodeArray(v.Data, depth)
	case bson.TypeNull:
		return nil, nil
	}
	var value any
	ok := true
	switch v.Type {
	case bson.TypeDouble:
		value, ok = v.DoubleOK()
	case bson.TypeString:
		value, ok = v.StringValueOK()
	case bson.TypeBinary:
		var b primitive.Binary
		b.Subtype, b.Data, ok = v.BinaryOK()
		b.Data = bytes.Clone(b.Data)
		value = b
	case bson.TypeObjectID:
		value, ok = v.ObjectIDOK()
	case bson.TypeBoolean:
		value, ok = v.BooleanOK()
	case bson.TypeDateTime:
		var ms int64
		ms, ok = v.DateTimeOK()
		value = primitive.DateTime(ms)
	case bson.TypeRegex:
		var r primitive.Regex
		r.Pattern, r.Options, ok = v.RegexOK()
		value = r
	case bson.TypeInt32:
		value, ok = v.Int32OK()
	case bson.TypeTimestamp:
		var t primitive.Timestamp
		t.T, t.I, ok = v.TimestampOK()
		value = t
	case bson.TypeInt64:
		value, ok = v.Int64OK()
	case bson.TypeDecimal128:
		value, ok = v.Decimal128OK()
	default:
		return nil, unsupported("BSON type %s is", v.Type)
	}
	if !ok {
		return nil, errMalformed
	}
	return value, nil
}

// encode turns the kit's values back into BSON.
func encode(doc bson.D) (bson.Raw, error) {
	return appendDocument(nil, doc, maxDepth)
}

func appendDocument(dst []byte, doc bson.D, depth int) ([]byte, error) {
	if depth <= 0 {
		return nil, errorf(codeOverflow, "document nests deeper than %d levels", maxDepth)
	}
	start, dst := bsoncore.AppendDocumentStart(dst)
	var err error
	for _, e := range doc {
		if dst, err = appendElement(dst, e.Key, e.Value, depth-1); err != nil {
			return nil, err
		}
	}
	return bsoncore.AppendDocumentEnd(dst, start)
}

func appendElement(dst []byte, key string, value any, depth int) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case bson.D:
		dst = bsoncore.AppendHeader(dst, bson.TypeEmbeddedDocument, key)
		return appendDocument(dst, v, depth)
	case bson.A:
		dst = bsoncore.AppendHeader(dst, bson.TypeArray, key)
		return appendArray(dst, v, depth)
	case bson.Raw:
		return bsoncore.AppendDocumentElement(dst, key, bsoncore.Document(v)), nil
	case []bson.Raw:
		start, dst := bsoncore.AppendArrayElementStart(dst, key)
		for i, doc := range v {
			dst = bsoncore.AppendDocumentElement(dst, arrayKey(i), bsoncore.Document(doc))
		}
		return bsoncore.AppendArrayEnd(dst, start)
	case nil, primitive.Null:
		dst = bsoncore.AppendNullElement(dst, key)
	case bool:
		dst = bsoncore.AppendBooleanElement(dst, key, v)
	case int32:
		dst = bsoncore.AppendInt32Element(dst, key, v)
	case int64:
		dst = bsoncore.AppendInt64Element(dst, key, v)
	case float64:
		dst = bsoncore.AppendDoubleElement(dst, key, v)
	case string:
		dst = bsoncore.AppendStringElement(dst, key, v)
	case primitive.ObjectID:
		dst = bsoncore.AppendObjectIDElement(dst, key, v)
	case primitive.DateTime:
		dst = bsoncore.AppendDateTimeElement(dst, key, int64(v))
	case primitive.Timestamp:
		dst = bsoncore.AppendTimestampElement(dst, key, v.T, v.I)
	case primitive.Binary:
		dst = bsoncore.AppendBinaryElement(dst, key, v.Subtype, v.Data)
	case primitive.Regex:
		dst = bsoncore.AppendRegexElement(dst, key, v.Pattern, v.Options)
	case primitive.Decimal128:
		dst = bsoncore.AppendDecimal128Element(dst, key, v)
	default:
		err = errorf(codeInternalError, "cannot encode a %T", value)
	}
	return dst, err
}

func appendArray(dst []byte, array bson.A, depth int) ([]byte, error) {
	if depth <= 0 {
		return nil, errorf(codeOverflow, "document nests deeper than %d levels", maxDepth)
	}
	start, dst := bsoncore.AppendArrayStart(dst)
	var err error
	for i, v := range array {
		if dst, err = appendElement(dst, arrayKey(i), v, depth-1); err != nil {
			return nil, err
		}
	}
	return bsoncore.AppendArrayEnd(dst, start)
}
