package mongo

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

const (
	maxMessageSize = 48_000_000
	maxWriteBatch  = 100_000
	// wireVersion is that of MongoDB 7.0, whose behaviour this engine follows.
	wireVersion = 21
	version     = "7.0.0"
)

func acknowledge(*request) (bson.D, error) { return bson.D{}, nil }

// hello describes a standalone server. It names a session timeout, so that clients may start sessions; without a
// replica set the driver sends no transaction numbers in them.
func hello(r *request) (bson.D, error) {
	return bson.D{
		{Key: "helloOk", Value: true},
		{Key: "isWritablePrimary", Value: true},
		{Key: "ismaster", Value: true},
		{Key: "maxBsonObjectSize", Value: int32(maxDocumentSize)},
		{Key: "maxMessageSizeBytes", Value: int32(maxMessageSize)},
		{Key: "maxWriteBatchSize", Value: int32(maxWriteBatch)},
		{Key: "localTime", Value: primitive.NewDateTimeFromTime(time.Now())},
		{Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
		{Key: "connectionId", Value: r.server.nextID()},
		{Key: "minWireVersion", Value: int32(0)},
		{Key: "maxWireVersion", Value: int32(wireVersion)},
		{Key: "readOnly", Value: false},
	}, nil
}

func buildInfo(*request) (bson.D, error) {
	return bson.D{
		{Key: "version", Value: version},
		{Key: "versionArray", Value: bson.A{int32(7), int32(0), int32(0), int32(0)}},
		{Key: "modules", Value: bson.A{"embedded development store"}},
		{Key: "maxBsonObjectSize", Value: int32(maxDocumentSize)},
	}, nil
}
