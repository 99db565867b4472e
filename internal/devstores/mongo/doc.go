// Package mongo is a development engine, not for production: an embedded server that speaks enough of MongoDB's wire
// protocol for the official driver to keep a product catalogue in it.
//
// The client is always go.mongodb.org/mongo-driver/v2, connected with the URL that [Server.URL] hands out:
//
//	mongodb://127.0.0.1:PORT/?directConnection=true
//
// The server reports itself as a standalone, so the driver neither retries writes nor offers transactions; a URL with
// a replicaSet, credentials or tls does not connect. It listens on the loopback address and asks nobody who they are.
//
// Documents live in memory as BSON and on disk in one bbolt file. A write is acknowledged after an fsync that covers
// it; writers that arrive while the disk is busy share the next one. What was acknowledged survives SIGKILL.
//
// Queries and update operators are those of lungo's mongokit, extended where a catalogue needs more ($regex, $expr,
// the positional operators, projections into arrays). Unique, compound, sparse, partial and multikey indexes are
// B-trees over order-preserving keys; queries use them, and explain says how. Everything else MongoDB has
// (transactions, change streams, collations, text and geo queries, TTL indexes, capped collections, authentication)
// answers with an error that ends in "not supported by the embedded store".
package mongo
