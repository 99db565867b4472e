// Package typesense is a development engine, not for production: it speaks Typesense 30's HTTP API over an index in
// memory and an append-only log on disk, so that the official client is always the client.
//
// A request's way through the package: routes.go checks the key and finds the collection; schema.go and document.go
// turn JSON into typed values; log.go makes a write durable; index.go and the files named after its parts (terms.go,
// text.go, numbers.go, facets.go) make it findable; request.go, filter.go, candidates.go, score.go, rank.go,
// facetcount.go and highlight.go answer a search.
//
// A write is acknowledged once it is on disk; a search may see it a moment earlier. Vectors and embeddings, joins,
// stemming, analytics, conversations, and filters within one element of an array of objects are not there: they are
// refused or have no route. What the engine answers differently from a recorded real server is listed, with the
// reason, in testdata/deviations.yml.
package typesense
