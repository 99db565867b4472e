package feeds

import (
	"bytes"
	"errors"
	"io"
	"iter"
)

var errUnclosed = errors.New("this is not JSON: something in it is never closed")

// arrayRecords reads an array element by element. An element that is not JSON spoils itself only: elements are told apart by
// their brackets first, and parsed after.
func arrayRecords(r io.Reader) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		a := array{in: r}
		if err := a.open(); err != nil {
			yield(record{}, err)
			return
		}
		for row := 1; ; row++ {
			text, err := a.next()
			if err == io.EOF {
				return
			}
			if err != nil && !errors.Is(err, errUnclosed) && !errors.Is(err, errTooLong) {
				yield(record{}, err)
				return
			}
			rec := record{row: row, text: text, err: err}
			if err == nil {
				rec.fields, rec.err = parse(text)
			}
			if !yield(rec, nil) {
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
func (a *array) next() ([]byte, error) {
	first, err := a.skip(" \t\r\n,")
	if err != nil {
		return nil, err
	}
	if first == ']' || first == 0 {
		return nil, io.EOF
	}
	s := scan{}
	for at := 0; ; at++ {
		if at == len(a.window) {
			more, err := a.fill()
			if err != nil {
				return nil, err
			}
			if !more || at > longestRecord {
				return a.giveUp(at > longestRecord)
			}
			at--
			continue
		}
		if s.ends(a.window[at]) {
			if !s.closed {
				at-- // a comma or the array's own bracket is not part of it
			}
			element := bytes.TrimSpace(a.window[:at+1])
			a.window = a.window[at+1:]
			return element, nil
		}
	}
}

// giveUp drops an element that never ends, up to the next line that begins as elements of this file do.
func (a *array) giveUp(tooLong bool) ([]byte, error) {
	text, err := a.window, errUnclosed
	if tooLong {
		err = errTooLong
	}
	for at := bytes.IndexByte(text, '\n'); at >= 0 && at < len(text)-1; {
		line := text[at+1:]
		if begins := bytes.TrimLeft(line, " \t,"); bytes.HasPrefix(begins, []byte("{")) && len(line)-len(begins) == a.indent {
			a.window = line
			return text[:at], err
		}
		following := bytes.IndexByte(line, '\n')
		if following < 0 {
			break
		}
		at += 1 + following
	}
	a.window = nil
	return text[:min(len(text), 1000)], err
}

// A scan finds where a value ends.
type scan struct {
	depth           int
	quoted, escaped bool
	closed          bool // it ended with its own bracket or quote
}

// ends tells whether the value is over with, or before, this byte.
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
