package typesense

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxTokenBytes cuts absurdly long words, so that the cost of a typo search stays bounded.
const maxTokenBytes = 100

// token is one indexed word and where in the text it stands.
type token struct {
	text       string
	start, end int
}

// tokenizer splits text the way Typesense does: at spaces, dropping every other symbol, so that "over-ear" is one word.
type tokenizer struct {
	separators string // symbols that split words too
	symbols    string // symbols that are kept
}

// letters that Unicode does not decompose but every Latin keyboard writes otherwise.
var folded = map[rune]string{
	'ß': "ss", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'ø': "o", 'Ø': "o", 'ł': "l", 'Ł': "l",
	'đ': "d", 'Đ': "d", 'ð': "d", 'Ð': "d", 'þ': "th", 'Þ': "th", 'ı': "i",
}

// split returns the words of a text in order.
func (z tokenizer) split(s string) []token {
	var (
		out        []token
		word       []byte
		start, end int
	)
	flush := func() {
		if len(word) > 0 {
			out = append(out, token{text: string(word), start: start, end: end})
			word = word[:0]
		}
	}
	keep := func(at, next int, b ...byte) {
		if len(word) == 0 {
			start = at
		}
		if len(word)+len(b) <= maxTokenBytes {
			word = append(word, b...)
		}
		end = next
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
				keep(i, i+1, c)
			case c >= 'A' && c <= 'Z':
				keep(i, i+1, c+'a'-'A')
			case c == ' ' || c == '\n' || c == '\t' || c == '\r' || strings.IndexByte(z.separators, c) >= 0:
				flush()
			case strings.IndexByte(z.symbols, c) >= 0:
				keep(i, i+1, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsSpace(r) {
			flush()
		} else if b := fold(r); len(b) > 0 {
			keep(i, i+n, b...)
		}
		i += n
	}
	flush()
	return out
}

// words returns the texts of split's tokens.
func (z tokenizer) words(s string) []string {
	tokens := z.split(s)
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = t.text
	}
	return out
}

// fold lowers a letter and takes off its accents; a symbol folds to nothing.
func fold(r rune) []byte {
	if r == utf8.RuneError {
		return nil
	}
	if s, ok := folded[r]; ok {
		return []byte(s)
	}
	var out []byte
	for _, d := range norm.NFKD.String(string(r)) {
		if unicode.IsLetter(d) || unicode.IsNumber(d) {
			out = utf8.AppendRune(out, unicode.ToLower(d))
		}
	}
	return out
}
