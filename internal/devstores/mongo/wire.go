package mongo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// Message kinds of the wire protocol. Drivers say OP_QUERY once, in their first hello.
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

// Flags of an OP_MSG. Those of the lower half that we do not know change its meaning, so they are refused.
const (
	flagChecksum   = 1 << 0
	flagMoreToCome = 1 << 1
	flagsRequired  = 1<<16 - 1
)

const headerSize = 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// message is one request as it came off the wire.
type message struct {
	id        uint32
	kind      uint32
	flags     uint32
	command   bson.Raw
	sequences map[string][]bson.Raw
}

// errProtocol ends a connection: behind such a message nothing can be trusted.
var errProtocol = errors.New("malformed message")

// readMessage reads one message into buf, which its parts point into until the next.
func readMessage(r io.Reader, buf *bytes.Buffer) (*message, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header[:])
	if length < headerSize || length > maxMessageSize {
		return nil, fmt.Errorf("%w: length %d", errProtocol, length)
	}
	buf.Reset()
	buf.Write(header[:]) // the checksum covers it
	// The buffer grows with what arrives, not with what the header promises.
	if _, err := io.CopyN(buf, r, int64(length-headerSize)); err != nil {
		return nil, err
	}
	m := &message{id: binary.LittleEndian.Uint32(header[4:]), kind: binary.LittleEndian.Uint32(header[12:])}
	switch m.kind {
	case opQuery:
		return m, m.parseQuery(buf.Bytes()[headerSize:])
	case opMsg:
		return m, m.parseMsg(buf.Bytes())
	}
	return nil, fmt.Errorf("%w: kind %d", errProtocol, m.kind)
}

func (m *message) parseQuery(body []byte) error {
	if len(body) < 4 {
		return errProtocol
	}
	end := bytes.IndexByte(body[4:], 0)
	if end < 0 || len(body) < 4+end+1+8 {
		return errProtocol
	}
	doc, _, ok := bsoncore.ReadDocument(body[4+end+1+8:])
	m.command = bson.Raw(doc)
	return orProtocol(ok)
}

func (m *message) parseMsg(whole []byte) error {
	body := whole[headerSize:]
	if len(body) < 4 {
		return errProtocol
	}
	m.flags = binary.LittleEndian.Uint32(body)
	if unknown := m.flags & flagsRequired &^ (flagChecksum | flagMoreToCome); unknown != 0 {
		return fmt.Errorf("%w: unknown flags %#x", errProtocol, unknown)
	}
	sections := body[4:]
	if m.flags&flagChecksum != 0 {
		if len(sections) < 4 {
			return errProtocol
		}
		covered := len(whole) - 4
		if crc32.Checksum(whole[:covered], castagnoli) != binary.LittleEndian.Uint32(whole[covered:]) {
			return fmt.Errorf("%w: checksum", errProtocol)
		}
		sections = sections[:len(sections)-4]
	}
	for len(sections) > 0 {
		kind, rest := sections[0], sections[1:]
		length, _, ok := bsoncore.ReadLength(rest)
		if !ok || int(length) > len(rest) || length < 4 {
			return errProtocol
		}
		section := rest[:length]
		sections = rest[length:]
		switch kind {
		case 0:
			m.command = bson.Raw(section)
		case 1:
			if err := m.parseSequence(section[4:]); err != nil {
				return err
			}
		default:
			return errProtocol
		}
	}
	return orProtocol(m.command != nil)
}

func (m *message) parseSequence(section []byte) error {
	end := bytes.IndexByte(section, 0)
	if end < 0 {
		return errProtocol
	}
	name := string(section[:end])
	docs := []bson.Raw{}
	for rest := section[end+1:]; len(rest) > 0; {
		doc, next, ok := bsoncore.ReadDocument(rest)
		if !ok {
			return errProtocol
		}
		docs = append(docs, bson.Raw(doc))
		rest = next
	}
	if m.sequences == nil {
		m.sequences = map[string][]bson.Raw{}
	}
	m.sequences[name] = docs
	return nil
}

func orProtocol(ok bool) error {
	if ok {
		return nil
	}
	return errProtocol
}

// appendReply appends a whole reply message to dst.
func appendReply(dst []byte, id uint32, to *message, doc bson.D) ([]byte, error) {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, 0) // length, below
	dst = binary.LittleEndian.AppendUint32(dst, id)
	dst = binary.LittleEndian.AppendUint32(dst, to.id)
	if to.kind == opQuery {
		dst = binary.LittleEndian.AppendUint32(dst, opReply)
		dst = append(dst, make([]byte, 16)...) // flags, cursor, starting from
		dst = binary.LittleEndian.AppendUint32(dst, 1)
	} else {
		dst = binary.LittleEndian.AppendUint32(dst, opMsg)
		dst = append(dst, 0, 0, 0, 0, 0) // no flags, one section of kind 0
	}
	dst, err := appendDocument(dst, doc, maxDepth)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst, nil
}
