package mongo

import (
	"errors"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

const codeDuplicateKey = 11000

// duplicate returns the unique index that refused a write and the value it refused, "" for any other error. The message
// names the index: "… index: sku dup key: { variants.sku: \"X\" }".
func duplicate(e mongo.WriteError) (index, value string) {
	if e.Code != codeDuplicateKey {
		return "", ""
	}
	_, rest, _ := strings.Cut(e.Message, " index: ")
	index, _, _ = strings.Cut(rest, " dup key")
	if first, err := e.Raw.LookupErr("keyValue"); err == nil {
		if doc, ok := first.DocumentOK(); ok {
			value = firstText(doc)
		}
	}
	return index, value
}

func firstText(doc bson.Raw) string {
	elements, err := doc.Elements()
	if err != nil || len(elements) == 0 {
		return ""
	}
	text, _ := elements[0].Value().StringValueOK()
	return text
}

// duplicateOf is duplicate for the write of one document.
func duplicateOf(err error) (index string) {
	var refused mongo.WriteException
	if errors.As(err, &refused) {
		for _, e := range refused.WriteErrors {
			index, _ = duplicate(e)
		}
	}
	return index
}
