// Package limits refuses documents that would cost too much, in linear time and before anything else looks at them.
//
// Whatever comes after it (normalising, validating, planning) may take quadratic time or worse in what is asked, so the
// limits are on what an operation is once its fragments are written out, not on what it looks like.
package limits

import "fmt"

// Limits bound what one operation may ask for. A zero field takes its default.
type Limits struct {
	Tokens          int // of the document's text
	Nesting         int // of brackets of any kind in the text
	Depth           int // of fields within fields, through fragments
	Aliases         int // through fragments
	RootFields      int // through fragments
	Directives      int // through fragments
	FieldDirectives int // on one field, fragment or operation
	Selections      int // fields and fragments in all, once fragments are written out
	Repetition      int // how much merging equal fields costs; see cost
	Variables       int // that the operation declares
}

// Default is what an honest client never notices.
var Default = Limits{
	Tokens: 15_000, Nesting: 64, Depth: 15, Aliases: 30, RootFields: 20,
	Directives: 100, FieldDirectives: 10, Selections: 2_000, Repetition: 2_000_000, Variables: 200,
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct{ have, def *int }{
		{&l.Tokens, &Default.Tokens}, {&l.Nesting, &Default.Nesting}, {&l.Depth, &Default.Depth},
		{&l.Aliases, &Default.Aliases}, {&l.RootFields, &Default.RootFields}, {&l.Directives, &Default.Directives},
		{&l.FieldDirectives, &Default.FieldDirectives}, {&l.Selections, &Default.Selections},
		{&l.Repetition, &Default.Repetition}, {&l.Variables, &Default.Variables},
	} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	return l
}

// Code is the error code that clients see.
const Code = "OPERATION_TOO_LARGE"

// An Exceeded error says which limit a document breaks.
type Exceeded struct {
	What string // is counted
	Most int
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("the operation is too large: at most %d %s are allowed", e.Most, e.What)
}

// A CycleError says that a fragment contains itself.
type CycleError struct{ Fragment string }

func (e *CycleError) Error() string {
	return fmt.Sprintf("the fragment %q contains itself", e.Fragment)
}
