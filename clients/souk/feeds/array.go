package feeds

import (
	"bytes"
	"errors"
	"io"
	"iter"
)

var errUnclosed = errors.New("this is not JSON: something in it is never closed")

// arrayRecords reads an array element by element. An element that is not JSON spoils itself only: elements are told apart by
// their brackets first, and where those are broken, by the lines that begin one.
func arrayRecords(r io.Reader) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		a := array{in: r}
		if err := a.open(); err != nil {
			yield(record{}, err)
			return
		}
		for row := 1; ; row++ {
			rec, err := a.next()
			if err == io.EOF {
				return
			}
			rec.row = row
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// An array is a JSON array that is cut into its elements.
type array struct {
	in     io.Reader
	window []byte // what is read and not cut yet
	ended  bool
	indent int // of the element at hand, where it begins a line
}

// fill reads more; false when there is no more.
func (a *array) fill() (bool, error) {
	if a.ended {
		return false, nil
	}
	more := make([]byte, 64<<10)
	n, err := a.in.Read(more)
	a.window = append(a.window, more[:n]...)
	if err == io.EOF {
		a.ended, err = true, nil
	}
	return true, err
}

// skip drops what stands between elements, and returns the first byte of what follows; 0 at the end.
func (a *array) skip(between string) (byte, error) {
	for {
		left := bytes.TrimLeft(a.window, between)
		if dropped := a.window[:len(a.window)-len(left)]; bytes.ContainsRune(dropped, '\n') {
			a.indent = len(dropped) - 1 - bytes.LastIndexByte(dropped, '\n')
		}
		if a.window = left; len(a.window) > 0 {
			return a.window[0], nil
		}
		if more, err := a.fill(); err != nil || !more {
			return 0, err
		}
	}
}

func (a *array) open() error {
	first, err := a.skip(" \t\r\n\ufeff")
	if err == nil && first != '[' {
		err = errors.New("the feed is not a JSON array")
	}
	if err == nil {
		a.window = a.window[1:]
	}
	return err
}

// next cuts the next element off.
func (a *array) next() (record, error) {
	first, err := a.skip(" \t\r\n,")
	if err != nil {
		return record{}, err
	}
	if first == ']' || first == 0 {
		return record{}, io.EOF
	}
	var s scan
	for at := 0; ; at++ {
		for at == len(a.window) {
			more, err := a.fill()
			if err != nil {
				return record{}, err
			}
			if at > longestRecord {
				return a.cut(at, errTooLong), nil
			}
			if !more {
				return a.cut(at, errUnclosed), nil
			}
		}
		if s.ends(a.window[at]) {
			if s.closed {
				at++
			}
			return a.cut(max(at, 1), nil), nil // a bracket out of place is an element too
		}
	}
}

// cut takes the element off that seems to end here. If it is none, it ends where a line begins as elements of this feed do.
func (a *array) cut(at int, wrong error) record {
	rec := record{text: bytes.TrimSpace(a.window[:at]), err: wrong}
	if wrong == nil {
		rec.fields, rec.err = parse(rec.text)
	}
	if rec.err != nil {
		if another := a.another(a.window[:at]); another > 0 {
			at = another
		}
	}
	a.window = a.window[at:]
	return rec
}

// another returns where the first line begins that looks like the next element, 0 when none does.
func (a *array) another(text []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			return 0
		}
		at += n + 1
		line := text[at:]
		if begins := bytes.TrimLeft(line, " \t,"); bytes.HasPrefix(begins, []byte("{")) && len(line)-len(begins) == a.indent {
			return at
		}
	}
}

// A scan finds where a value ends.
type scan struct {
	depth           int
	quoted, escaped bool
	closed          bool // it ended with its own bracket, not with what follows it
}

// ends tells whether the value is over: with this byte when it is closed, else before it.
func (s *scan) ends(b byte) bool {
	if s.quoted {
		switch {
		case s.escaped:
			s.escaped = false
		case b == '\\':
			s.escaped = true
		case b == '"', b == '\n': // JSON has no line breaks within quotes: somebody forgot to close them
			s.quoted = false
		}
		return false
	}
	switch b {
	case '"':
		s.quoted = true
	case '{', '[':
		s.depth++
	case '}', ']':
		if s.depth == 0 {
			return true
		}
		s.depth--
		s.closed = s.depth == 0
		return s.closed
	case ',':
		return s.depth == 0
	}
	return false
}
