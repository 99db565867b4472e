package transport

import (
	"mime"
	"strconv"
	"strings"
)

// A format is one way to write an answer in a response.
type format int

const (
	formatNone         format = iota
	formatJSON                // application/json: older clients; a GraphQL error is a 200
	formatResponseJSON        // application/graphql-response+json: the status says what happened
	formatEvents              // text/event-stream: graphql-sse, one connection an operation
	formatMultipart           // multipart/mixed: @defer
)

var mediaTypes = map[string]format{
	"application/json":                  formatJSON,
	"application/graphql-response+json": formatResponseJSON,
	"text/event-stream":                 formatEvents,
	"multipart/mixed":                   formatMultipart,
}

// acceptable is what a client takes, by its Accept header.
type acceptable struct {
	json      format // formatJSON, formatResponseJSON, or formatNone
	events    bool
	multipart bool
}

// none tells that nothing we can write would be read.
func (a acceptable) none() bool { return a.json == formatNone && !a.events && !a.multipart }

// plain is the format of an answer that is one document: JSON when the client takes it.
func (a acceptable) plain() format {
	switch {
	case a.json != formatNone:
		return a.json
	case a.events:
		return formatEvents
	case a.multipart:
		return formatMultipart
	}
	return formatNone
}

// parseAccept reads an Accept header. Without one, and for wildcards, clients get application/json, as the GraphQL over HTTP
// specification asks for the sake of those written before application/graphql-response+json.
func parseAccept(header string) acceptable {
	if strings.TrimSpace(header) == "" {
		return acceptable{json: formatJSON}
	}
	if as := mediaTypes[header]; as == formatJSON || as == formatResponseJSON { // what most clients say
		return acceptable{json: as}
	}
	var a acceptable
	best := 0.0 // weight of the JSON chosen so far
	for part := range strings.SplitSeq(header, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, ok := params["q"]; ok {
			if weight, err = strconv.ParseFloat(q, 64); err != nil || weight <= 0 {
				continue
			}
		}
		if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
			continue
		}
		as := mediaTypes[name]
		if name == "*/*" || name == "application/*" {
			as = formatJSON
			weight /= 2 // a name says more than a wildcard
		}
		switch as {
		case formatJSON, formatResponseJSON:
			if weight > best || weight == best && as == formatResponseJSON {
				a.json, best = as, weight
			}
		case formatEvents:
			a.events = true
		case formatMultipart:
			// Apollo and urql say deferSpec or nothing; another dialect of @defer would be misread.
			if spec, ok := params["deferspec"]; (!ok || spec == deferSpec) && params["incrementalspec"] == "" {
				a.multipart = true
			}
		}
	}
	return a
}
