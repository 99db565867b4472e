package accounts

import (
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/souk-shop/souk/internal/fault"
)

// ErrInput is every refusal of what somebody typed; the message and the field say which.
var ErrInput = fault.New(fault.Invalid, "INVALID", "this input breaks a rule")

// The bounds of a password, in characters.
const (
	shortestPassword = 10
	longestPassword  = 128
)

func checkPassword(password string, field ...string) error {
	if n := utf8.RuneCountInString(password); n < shortestPassword || n > longestPassword {
		return ErrInput.Says("a password has from %d to %d characters", shortestPassword, longestPassword).At(field...)
	}
	return nil
}

// domain is a host name of two labels or more.
var domain = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z][a-zA-Z0-9-]{0,61}[a-zA-Z0-9]$`)

// checkEmail returns the address without spaces around it. Only ASCII passes: letters that look alike would let two accounts
// look like one.
func checkEmail(s string, field ...string) (string, error) {
	s = strings.TrimSpace(s)
	refused := ErrInput.Says("%.80q is not an e-mail address", s).At(field...)
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > 254 {
		return "", refused
	}
	at := strings.LastIndexByte(s, '@')
	if at > 64 || !domain.MatchString(s[at+1:]) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", refused
	}
	return s, nil
}

// A line is a text of one line with bounds in characters.
type line struct {
	what        string
	least, most int
}

// check returns the text without spaces around it. What moves, hides or reverses other text is refused.
func (l line) check(s string, field ...string) (string, error) {
	s = strings.TrimSpace(s)
	n := utf8.RuneCountInString(s)
	switch {
	case n < l.least && n == 0:
		return "", ErrInput.Says("%s is missing", l.what).At(field...)
	case n < l.least:
		return "", ErrInput.Says("%s has at least %d characters", l.what, l.least).At(field...)
	case n > l.most:
		return "", ErrInput.Says("%s has at most %d characters", l.what, l.most).At(field...)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable):
		return "", ErrInput.Says("%s holds characters that cannot be printed", l.what).At(field...)
	}
	return s, nil
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}
