// Package limits refuses documents that would cost too much, in linear time and before anything else looks at them.
package limits

import "fmt"

// Limits bound what one document may ask for. A zero field takes its default.
type Limits struct {
	Tokens         int // of the document's text
	Depth          int // of nested selections, through fragments
	Aliases        int // in the operation, through fragments
	RootFields     int // of the operation, through fragments
	Directives     int // in the operation, through fragments
	FieldDirective int // on one field, fragment or operation
	Fields         int // selected by the operation once its fragments are written out
	Repeats        int // of one response name in one selection set, through fragments
	ValueDepth     int // of nested lists and objects in one value
}

// Default is what an honest client never notices.
var Default = Limits{
	Tokens: 15_000, Depth: 15, Aliases: 30, RootFields: 20,
	Directives: 100, FieldDirective: 10, Fields: 5_000, Repeats: 50, ValueDepth: 20,
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct{ have, def *int }{
		{&l.Tokens, &Default.Tokens}, {&l.Depth, &Default.Depth}, {&l.Aliases, &Default.Aliases},
		{&l.RootFields, &Default.RootFields}, {&l.Directives, &Default.Directives},
		{&l.FieldDirective, &Default.FieldDirective}, {&l.Fields, &Default.Fields},
		{&l.Repeats, &Default.Repeats}, {&l.ValueDepth, &Default.ValueDepth},
	} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	return l
}

// An Exceeded error says which limit a document breaks.
type Exceeded struct {
	What string // the limit, as in the message
	Most int
}

// Code is the error code that clients see.
const Code = "OPERATION_TOO_LARGE"

func (e *Exceeded) Error() string {
	return fmt.Sprintf("the operation is too large: at most %d %s are allowed", e.Most, e.What)
}
