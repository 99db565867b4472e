package catalog

import (
	"strconv"
	"strings"
	"unicode"
)

const longestSlug = 80 // characters, without what makes it unique

// slugOf writes a name for URLs: letters and digits, single dashes between them.
func slugOf(name, otherwise string) string {
	var b strings.Builder
	n, gap := 0, false
	for _, r := range strings.ToLower(name) {
		if r == '\'' || r == '’' {
			continue
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			gap = n > 0
			continue
		}
		if n >= longestSlug || gap && n+1 >= longestSlug {
			break
		}
		if gap {
			b.WriteByte('-')
			n, gap = n+1, false
		}
		b.WriteRune(r)
		n++
	}
	if n == 0 {
		return otherwise
	}
	return b.String()
}

// slugged tells a slug from others like it by the last n characters of an id.
func slugged(slug, id string, n int) string {
	if n == 0 {
		return slug
	}
	return slug + "-" + strings.ToLower(id[len(id)-n:])
}

// spaced trims a text and leaves one space where there were several.
func spaced(s string) string { return strings.Join(strings.Fields(s), " ") }

// at is an index of a list as a step of a path.
func at(i int) string { return strconv.Itoa(i) }
