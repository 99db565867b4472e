package postgres

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// A bound is the parameters of a prepared statement in PostgreSQL's binary form, one after the other in one buffer: for
// statements whose arrays have a thousand elements, and thousands of which are sent each second.
type bound struct {
	buf  []byte
	ends []int
}

var bounds = sync.Pool{New: func() any { return &bound{} }}

// params returns the parameters, which share the buffer.
func (b *bound) params() [][]byte {
	all, begin := make([][]byte, len(b.ends)), 0
	for i, end := range b.ends {
		all[i], begin = b.buf[begin:end:end], end
	}
	return all
}

func (b *bound) end() { b.ends = append(b.ends, len(b.buf)) }

func (b *bound) text(s string) {
	b.buf = append(b.buf, s...)
	b.end()
}

func (b *bound) int8(n int64) {
	b.buf = binary.BigEndian.AppendUint64(b.buf, uint64(n))
	b.end()
}

func (b *bound) int4(n int32) {
	b.buf = binary.BigEndian.AppendUint32(b.buf, uint32(n))
	b.end()
}

func (b *bound) time(t time.Time) {
	b.buf = binary.BigEndian.AppendUint64(b.buf, uint64(microseconds(t)))
	b.end()
}

func (b *bound) jsonb(written []byte) {
	b.buf = append(append(b.buf, 1), written...)
	b.end()
}

// array binds n elements, of which each appends its value to the buffer.
func (b *bound) array(oid uint32, n int, each func(buf []byte, i int) []byte) {
	for _, head := range [...]uint32{1, 0, oid, uint32(n), 1} { // one dimension, no nulls, from 1
		b.buf = binary.BigEndian.AppendUint32(b.buf, head)
	}
	for i := range n {
		begin := len(b.buf)
		b.buf = each(append(b.buf, 0, 0, 0, 0), i)
		binary.BigEndian.PutUint32(b.buf[begin:], uint32(len(b.buf)-begin-4))
	}
	b.end()
}

func (b *bound) texts(n int, of func(i int) string) {
	b.array(pgtype.TextOID, n, func(buf []byte, i int) []byte { return append(buf, of(i)...) })
}

func (b *bound) int4s(n int, of func(i int) int) {
	b.array(pgtype.Int4OID, n, func(buf []byte, i int) []byte { return binary.BigEndian.AppendUint32(buf, uint32(of(i))) })
}

func (b *bound) int2s(n int, of func(i int) int) {
	b.array(pgtype.Int2OID, n, func(buf []byte, i int) []byte { return binary.BigEndian.AppendUint16(buf, uint16(of(i))) })
}

func (b *bound) times(n int, of func(i int) time.Time) {
	b.array(pgtype.TimestamptzOID, n, func(buf []byte, i int) []byte {
		return binary.BigEndian.AppendUint64(buf, uint64(microseconds(of(i))))
	})
}

func (b *bound) bytes(n int, of func(i int) []byte) {
	b.array(pgtype.ByteaOID, n, func(buf []byte, i int) []byte { return append(buf, of(i)...) })
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func microseconds(t time.Time) int64 { return t.UnixMicro() - epoch }
