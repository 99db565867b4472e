package feeds

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

const longestRecord = 1 << 20 // bytes; what is longer is broken

var errTooLong = fmt.Errorf("a record has at most %d KB", longestRecord>>10)

// parse reads one JSON object and nothing else.
func parse(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("this is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, fmt.Errorf("this is not a JSON object but a %s", kind.Value)
		}
		return nil, fmt.Errorf("this is not JSON: %w", err)
	}
	if fields == nil {
		return nil, errors.New("this is not a JSON object but null")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more than one JSON value")
	}
	return fields, nil
}

// lines yields lines of bounded length without their ends; what is cut off of a longer one is told by whole == false.
func lines(r io.Reader) func() (text []byte, whole bool, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	return func() ([]byte, bool, error) {
		var text []byte
		whole := true
		for {
			part, more, err := in.ReadLine()
			if err != nil {
				return nil, false, err
			}
			if len(text)+len(part) <= longestRecord {
				text = append(text, part...)
			} else {
				whole = false
			}
			if !more {
				return text, whole, nil
			}
		}
	}
}

func lineRecords(r io.Reader) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		next := lines(r)
		for row := 1; ; row++ {
			text, whole, err := next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(record{}, err)
				return
			}
			text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
			if len(text) == 0 {
				continue
			}
			rec := record{row: row, text: text, err: errTooLong}
			if whole {
				rec.fields, rec.err = parse(text)
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func csvRecords(r io.Reader) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		rows := csvRows{next: lines(r)}
		text, _, err := rows.read()
		if err == io.EOF {
			err = errors.New("the feed is empty: it has no header line")
		}
		var header []string
		if err == nil {
			header, err = cells(bytes.TrimPrefix(text, []byte("\ufeff")))
		}
		if err != nil {
			yield(record{}, err)
			return
		}
		for row := 1; ; row++ {
			text, whole, err := rows.read()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(record{}, err)
				return
			}
			rec := record{row: row, text: text, err: errTooLong}
			if whole {
				rec.fields, rec.err = named(header, text)
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// csvRows puts lines together to rows, since a quoted cell may go over several.
type csvRows struct {
	next   func() ([]byte, bool, error)
	behind [][]byte // lines that were read too far
}

const mostLines = 1000 // of one row

func (c *csvRows) line() ([]byte, bool, error) {
	if len(c.behind) > 0 {
		text := c.behind[0]
		c.behind = c.behind[1:]
		return text, true, nil
	}
	return c.next()
}

// read reads a row. A quote that nobody closes within what a row may be spoils its own line only.
func (c *csvRows) read() ([]byte, bool, error) {
	first, whole, err := c.line()
	for err == nil && len(bytes.TrimSpace(first)) == 0 {
		first, whole, err = c.line()
	}
	if err != nil || !whole {
		return nil, whole, err
	}
	row := bytes.Clone(first)
	var more [][]byte
	for quotes := bytes.Count(row, []byte(`"`)); quotes%2 == 1; {
		text, whole, err := c.line()
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		if err == nil {
			more = append(more, text)
		}
		if err == io.EOF || !whole || len(more) > mostLines || len(row)+len(text) > longestRecord {
			c.behind = append(more, c.behind...)
			return first, true, nil
		}
		row = append(append(row, '\n'), text...)
		quotes += bytes.Count(text, []byte(`"`))
	}
	return row, true, nil
}

func cells(row []byte) ([]string, error) {
	if !utf8.Valid(row) {
		return nil, errors.New("this is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(row))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	found, err := r.Read()
	var why *csv.ParseError
	if errors.As(err, &why) {
		err = fmt.Errorf("this is not CSV: %w", why.Err)
	}
	return found, err
}

func named(header []string, row []byte) (map[string]any, error) {
	found, err := cells(row)
	if err != nil {
		return nil, err
	}
	if len(found) != len(header) {
		return nil, fmt.Errorf("the row has %d cells, the header has %d", len(found), len(header))
	}
	fields := make(map[string]any, len(header))
	for i, name := range header {
		fields[strings.TrimSpace(name)] = strings.TrimSpace(found[i])
	}
	return fields, nil
}
