package mongo

import (
	"slices"

	"go.mongodb.org/mongo-driver/bson"
)

// request is one command with its arguments.
type request struct {
	server    *Server
	name      string
	database  string
	args      bson.D
	sequences map[string][]bson.Raw // documents sent beside the command
}

// command answers one kind of request.
type command struct {
	run func(*request) (bson.D, error)
	// options it understands; any other is refused rather than ignored, unless it asks for nothing.
	options []string
}

var commands = map[string]command{
	"hello":       {run: hello, options: []string{"helloOk", "client", "compression", "speculativeAuthenticate", "saslSupportedMechs", "topologyVersion", "maxAwaitTimeMS", "loadBalanced", "backpressure"}},
	"ping":        {run: acknowledge},
	"endSessions": {run: acknowledge},
	"buildInfo":   {run: buildInfo},

	"listDatabases":   {run: listDatabases, options: []string{"filter", "nameOnly", "authorizedDatabases"}},
	"listCollections": {run: listCollections, options: []string{"filter", "nameOnly", "cursor", "authorizedCollections"}},
	"create":          {run: create},
	"drop":            {run: drop},
	"dropDatabase":    {run: dropDatabase},
	"createIndexes":   {run: createIndexes, options: []string{"indexes", "commitQuorum"}},
	"listIndexes":     {run: listIndexes, options: []string{"cursor"}},
	"dropIndexes":     {run: dropIndexes, options: []string{"index"}},

	"insert":        {run: insert, options: []string{"documents", "ordered"}},
	"update":        {run: updateMany, options: []string{"updates", "ordered"}},
	"delete":        {run: deleteMany, options: []string{"deletes", "ordered"}},
	"findAndModify": {run: findAndModify, options: []string{"query", "sort", "remove", "update", "new", "fields", "upsert", "arrayFilters", "hint"}},

	"find":        {run: find, options: []string{"filter", "projection", "sort", "skip", "limit", "batchSize", "singleBatch", "hint", "noCursorTimeout", "allowDiskUse", "allowPartialResults"}},
	"getMore":     {run: getMore, options: []string{"collection", "batchSize"}},
	"killCursors": {run: killCursors, options: []string{"cursors"}},
	"count":       {run: count, options: []string{"query", "limit", "skip", "hint"}},
	"distinct":    {run: distinctValues, options: []string{"key", "query", "hint"}},
	"aggregate":   {run: aggregate, options: []string{"pipeline", "cursor", "hint", "allowDiskUse"}},
	"explain":     {run: explain, options: []string{"verbosity"}},
}

// aliases are older spellings that drivers still send.
var aliases = map[string]string{
	"isMaster":      "hello",
	"ismaster":      "hello",
	"buildinfo":     "buildInfo",
	"findandmodify": "findAndModify",
}

// generalOptions mean nothing to one standalone server without authentication.
var generalOptions = []string{
	"$db", "lsid", "$clusterTime", "$readPreference", "readConcern", "writeConcern", "maxTimeMS", "comment",
	"apiVersion", "apiStrict", "apiDeprecationErrors", "bypassDocumentValidation",
}

// foreignCommands are MongoDB's and not ours, which deserves another answer than a misspelling.
var foreignCommands = []string{
	"abortTransaction", "authenticate", "bulkWrite", "collMod", "collStats", "commitTransaction", "compact",
	"connectionStatus", "createUser", "dataSize", "dbStats", "getLog", "getParameter", "hostInfo", "logout", "mapReduce",
	"profile", "renameCollection", "replSetGetStatus", "saslContinue", "saslStart", "serverStatus", "setParameter",
	"startSession", "refreshSessions", "killSessions", "top", "usersInfo", "validate",
}

// answer runs a command and is always a whole reply; what was refused says so in it.
func (r *request) answer() bson.D {
	out, err := r.run()
	if err != nil {
		return failure(err)
	}
	return append(out, bson.E{Key: "ok", Value: float64(1)})
}

func (r *request) run() (bson.D, error) {
	name := r.name
	if full, ok := aliases[name]; ok {
		name = full
	}
	c, ok := commands[name]
	switch {
	case !ok && slices.Contains(foreignCommands, name):
		return nil, errorf(codeCommandNotSupported, "command %s is not supported by the embedded store", name)
	case !ok:
		return nil, errorf(codeCommandNotFound, "no such command: '%s'", name)
	}
	for _, e := range r.args[1:] {
		switch {
		case e.Key == "txnNumber" || e.Key == "autocommit" || e.Key == "startTransaction":
			return nil, errorf(codeCommandNotSupported, "transactions are not supported by the embedded store")
		case slices.Contains(generalOptions, e.Key), slices.Contains(c.options, e.Key), !truthy(e.Value):
		default:
			return nil, unsupported("option %s of %s is", e.Key, name)
		}
	}
	if err := r.server.store.journal.failure(); err != nil {
		return nil, err
	}
	return c.run(r)
}

// namespace is the collection that the command names as its first argument.
func (r *request) namespace() (namespace, error) {
	name, ok := r.args[0].Value.(string)
	if !ok {
		return namespace{}, errorf(codeInvalidNamespace, "collection name has invalid type in command %s", r.name)
	}
	ns := namespace{r.database, name}
	return ns, ns.check()
}

// document is an argument that is a document; leaving it out is the same as an empty one.
func (r *request) document(key string) (bson.D, error) { return documentIn(r.args, key) }

func documentIn(args bson.D, key string) (bson.D, error) {
	switch v := lookup(args, key).(type) {
	case nil:
		return bson.D{}, nil
	case bson.D:
		return v, nil
	}
	return nil, errorf(codeTypeMismatch, "field '%s' must be an object", key)
}

// integer is an argument that is a whole number, or the default when it is left out.
func (r *request) integer(key string, otherwise int64) (int64, error) {
	v := lookup(r.args, key)
	if v == nil {
		return otherwise, nil
	}
	n, ok := toInt64(v)
	if !ok {
		return 0, errorf(codeTypeMismatch, "field '%s' must be an integer", key)
	}
	return n, nil
}

func (r *request) flag(key string) bool { return truthy(lookup(r.args, key)) }

// natural is an integer argument that must not be negative.
func (r *request) natural(key string, otherwise int64) (int64, error) {
	n, err := r.integer(key, otherwise)
	if err == nil && n < 0 {
		err = errorf(codeBadValue, "field '%s' must not be negative", key)
	}
	return n, err
}

// documents are the statements of a write, sent beside the command or inside it.
func (r *request) documents(key string) ([]bson.Raw, error) {
	docs, beside := r.sequences[key]
	if !beside {
		array, ok := lookup(r.args, key).(bson.A)
		if !ok {
			return nil, errorf(codeMissingField, "field '%s' is missing but a required field", key)
		}
		for _, v := range array {
			doc, ok := v.(bson.D)
			if !ok {
				return nil, errorf(codeTypeMismatch, "field '%s' must hold objects", key)
			}
			raw, err := encode(doc)
			if err != nil {
				return nil, err
			}
			docs = append(docs, raw)
		}
	}
	if len(docs) == 0 || len(docs) > maxWriteBatch {
		return nil, errorf(codeInvalidLength, "write batch sizes must be between 1 and %d; got %d operations", maxWriteBatch, len(docs))
	}
	return docs, nil
}

// query reads the arguments that find, count, distinct and findAndModify share.
func (r *request) query(filterKey string) (query, error) {
	q := query{hint: lookup(r.args, "hint")}
	d, err := r.document(filterKey)
	if err != nil {
		return q, err
	}
	if q.filter, err = newFilter(d); err != nil {
		return q, err
	}
	if d, err = r.document("sort"); err != nil {
		return q, err
	}
	q.order, err = newColumns(d)
	return q, err
}
