// Package feed reads sellers' feeds: JSON lines and CSV, in UTF-8, a row at a time.
//
// A JSONL feed has one object a line, shaped like ProductSaveInput in the schema; categoryPath, an array of names, may
// stand for categorySlug. A row's number is its line's; empty lines are no rows.
//
// A CSV feed has a header line, then one variant a line. Lines with the same externalId are one product and stand
// together; what is said of the product is taken from the first of them, and the others repeat it or leave it empty. A
// row's number counts lines of data, so the one below the header is 1. The columns, in any order:
//
//	externalId        the seller's own id of the product; needed
//	title             needed
//	description
//	categorySlug      this, or …
//	categoryPath      … names from the top down: "Phones > Cases"; one of the two is needed
//	brand
//	status            DRAFT, ACTIVE or ARCHIVED; ACTIVE when empty
//	imageUrls         absolute URLs with spaces between them
//	sku               needed
//	price             such as 19.90; needed
//	compareAtPrice    such as 24.90
//	currency          such as USD; needed
//	weightGrams       needed
//	option:NAME       the variant's value for an option, such as option:Size; empty for a variant that lacks it
//	attribute:KEY     an attribute of the product, such as attribute:fabric; with a unit attribute:screen_size:in
package feed

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

const longestRow = 1 << 20 // bytes

// Reader reads feeds.
type Reader struct{}

var _ catalog.Feeds = Reader{}

// Count returns how many rows a feed has.
func (Reader) Count(f catalog.Format, r io.Reader) (n int, err error) {
	switch f {
	case catalog.CSV:
		rows := newRecords(r)
		if _, err := rows.header(); err != nil {
			return 0, err
		}
		for {
			if _, err := rows.next(); err == io.EOF {
				return n, nil
			} else if err != nil {
				return n, err
			}
			n++
		}
	default:
		rows := newLines(r)
		for {
			l, err := rows.next()
			if err == io.EOF {
				return n, nil
			}
			if err != nil {
				return n, err
			}
			if !l.blank() {
				n++
			}
		}
	}
}

// Items reads a feed's products in order.
func (Reader) Items(f catalog.Format, r io.Reader) iter.Seq2[catalog.FeedItem, error] {
	if f == catalog.CSV {
		return csvItems(r)
	}
	return jsonItems(r)
}

// broken makes a refusal of a row, or of a whole feed.
func broken(message string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "INVALID", "").Says(message, args...)
}

// lines reads lines of bounded length, whatever they end with.
type lines struct {
	r      *bufio.Reader
	number int
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

// A line is without its end.
type line struct {
	number  int
	text    []byte
	tooLong bool // then the text is how it begins
}

func (l line) blank() bool { return !l.tooLong && len(bytes.TrimSpace(l.text)) == 0 }

// fault says why the line cannot be read, nil when it can.
func (l line) fault() *fault.Error {
	switch {
	case l.tooLong:
		return catalog.ErrTooLarge.Says("a row has at most 1 MB")
	case !utf8.Valid(l.text):
		return broken("the row is not UTF-8")
	}
	return nil
}

// next reads a line; io.EOF when there is none.
func (l *lines) next() (line, error) {
	if l.number == 0 {
		if err := l.begin(); err != nil {
			return line{}, err
		}
	}
	l.number++
	out := line{number: l.number}
	for read := false; ; read = true {
		part, err := l.r.ReadSlice('\n')
		if room := longestRow + 2 - len(out.text); len(part) > room {
			out.tooLong = true
			part = part[:max(0, room)]
		}
		out.text = append(out.text, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && !read && len(out.text) == 0:
			return line{}, io.EOF
		case err != nil && err != io.EOF:
			return line{}, err
		}
		out.text = bytes.TrimSuffix(bytes.TrimSuffix(out.text, []byte("\n")), []byte("\r"))
		out.tooLong = out.tooLong || len(out.text) > longestRow
		return out, nil
	}
}

// begin leaves out the mark that some programs begin UTF-8 files with.
func (l *lines) begin() error {
	head, err := l.r.Peek(3)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err = l.r.Discard(3)
		return err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return broken("the feed is UTF-16; save it as UTF-8")
	}
	return nil
}

// exact reads an amount: digits and a point.
func exact(s string) (decimal.Decimal, bool) {
	if len(s) == 0 || len(s) > 32 || bytes.ContainsAny([]byte(s), "eE") {
		return decimal.Decimal{}, false
	}
	d, err := decimal.NewFromString(s)
	return d, err == nil
}
