// Package postal knows what a postal code looks like, so that what one subgraph keeps the others can read.
package postal

import (
	"regexp"
	"strings"
)

// Shape says to people what Code takes.
const Shape = "a postal code has 3 to 10 letters, digits, spaces or dashes"

var shape = regexp.MustCompile(`^[A-Z0-9][A-Z0-9 -]{1,8}[A-Z0-9]$`)

// Code returns a postal code as it is kept: without spaces around it, in capitals. It tells whether the text may be one.
func Code(text string) (string, bool) {
	code := strings.ToUpper(strings.TrimSpace(text))
	return code, shape.MatchString(code)
}
