package mongo_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/souk-shop/souk/internal/devstores/mongo"
)

func dial(t *testing.T, s *mongo.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL(), "mongodb://"), "/?directConnection=true"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// msg is an OP_MSG around a body.
func msg(flags uint32, body []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(20+len(body)))
	out = binary.LittleEndian.AppendUint32(out, 7)
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint32(out, 2013)
	out = binary.LittleEndian.AppendUint32(out, flags)
	return append(out, body...)
}

func section(t *testing.T, doc any) []byte {
	t.Helper()
	return append([]byte{0}, must[[]byte](t)(bson.Marshal(doc))...)
}

// answer reads one OP_MSG.
func answer(t *testing.T, conn net.Conn) M {
	t.Helper()
	header := make([]byte, 21)
	if _, err := io.ReadFull(conn, header); err != nil {
		t.Fatal(err)
	}
	if to := binary.LittleEndian.Uint32(header[8:]); to != 7 {
		t.Errorf("answers %d", to)
	}
	body := make([]byte, binary.LittleEndian.Uint32(header)-21)
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	var doc M
	if err := bson.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestHostileMessagesEndTheirConnectionAlone(t *testing.T) {
	s := start(t, t.TempDir())
	ping := section(t, D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}})
	header := func(length, kind uint32) []byte {
		out := binary.LittleEndian.AppendUint32(nil, length)
		out = append(out, make([]byte, 8)...)
		return binary.LittleEndian.AppendUint32(out, kind)
	}
	for name, bytes := range map[string][]byte{
		"short length":         header(3, 2013),
		"length over 48 MB":    header(48_000_001, 2013),
		"unknown kind":         header(16, 99),
		"no flags":             header(16, 2013),
		"no section":           msg(0, nil),
		"section too long":     msg(0, []byte{0, 255, 255, 255, 127}),
		"negative section":     msg(0, []byte{0, 255, 255, 255, 255}),
		"unknown section":      msg(0, append([]byte{9}, ping[1:]...)),
		"unknown flags":        msg(1<<5, ping),
		"wrong checksum":       msg(1, append(bytes.Clone(ping), 1, 2, 3, 4)),
		"sequence without end": msg(0, []byte{1, 6, 0, 0, 0, 'a', 'b'}),
		"sequence of garbage":  msg(0, []byte{1, 9, 0, 0, 0, 'a', 0, 1, 2, 3}),
		"query without name":   append(header(21, 2004), 0, 0, 0, 0, 'x'),
	} {
		conn := dial(t, s)
		if _, err := conn.Write(bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: got an answer", name)
		}
	}
	conn := dial(t, s)
	for name, doc := range map[string][]byte{
		"garbage":    {0, 7, 0, 0, 0, 1, 2, 0},
		"empty":      section(t, D{}),
		"no name":    section(t, D{{Key: "", Value: 1}}),
		"odd type":   section(t, D{{Key: "find", Value: 5}, {Key: "$db", Value: "shop"}}),
		"no db":      section(t, D{{Key: "find", Value: "a"}}),
		"deep":       section(t, D{{Key: "find", Value: "a"}, {Key: "$db", Value: "shop"}, {Key: "filter", Value: M{"a": nested(1000)}}}),
		"bad schema": section(t, D{{Key: "find", Value: "a"}, {Key: "$db", Value: "shop"}, {Key: "filter", Value: 5}}),
	} {
		if _, err := conn.Write(msg(0, doc)); err != nil {
			t.Fatal(err)
		}
		if got := answer(t, conn); got["ok"] != 0.0 || got["code"] == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := conn.Write(msg(0, ping)); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, conn); got["ok"] != 1.0 {
		t.Errorf("ping: %v", got)
	}
}

func TestChecksumsAndUnacknowledged(t *testing.T) {
	s := start(t, t.TempDir())
	conn := dial(t, s)
	insert := section(t, D{{Key: "insert", Value: "a"}, {Key: "documents", Value: A{M{"_id": 1}}}, {Key: "$db", Value: "shop"}})
	if _, err := conn.Write(msg(2, insert)); err != nil { // moreToCome: no answer
		t.Fatal(err)
	}
	find := msg(1, append(section(t, D{{Key: "count", Value: "a"}, {Key: "$db", Value: "shop"}}), 0, 0, 0, 0))
	sum := crc32.Checksum(find[:len(find)-4], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(find[len(find)-4:], sum)
	if _, err := conn.Write(find); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, conn); got["n"] != int32(1) {
		t.Errorf("got %v", got)
	}
}

func TestCloseEndsConnectionsAndFreesTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	conn := dial(t, s)
	if _, err := conn.Write(msg(0, section(t, D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}}))); err != nil {
		t.Fatal(err)
	}
	answer(t, conn)
	if _, err := mongo.Open(t.Context(), mongo.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("two servers on one folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error("again:", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	if _, err := net.Dial("tcp", conn.RemoteAddr().String()); err == nil {
		t.Error("still listening")
	}
	start(t, dir)
}

// FuzzCommand throws arbitrary documents at every command: the answer may be a refusal, never a panic or a dead server.
func FuzzCommand(f *testing.F) {
	for _, doc := range []D{
		{{Key: "find", Value: "a"}, {Key: "filter", Value: M{"a": M{"$gt": 1}}}, {Key: "sort", Value: M{"a": 1}}, {Key: "projection", Value: M{"a.b": 1}}},
		{{Key: "update", Value: "a"}, {Key: "updates", Value: A{M{"q": M{"a": 1}, "u": M{"$set": M{"a.$[x].b": 1}}, "arrayFilters": A{M{"x": 1}}, "upsert": true}}}},
		{{Key: "insert", Value: "a"}, {Key: "documents", Value: A{M{"a": A{1, M{"b": 2}}}}}},
		{{Key: "aggregate", Value: "a"}, {Key: "pipeline", Value: A{M{"$group": M{"_id": "$a", "n": M{"$sum": "$b"}}}, M{"$unwind": "$a"}}}, {Key: "cursor", Value: M{}}},
		{{Key: "createIndexes", Value: "a"}, {Key: "indexes", Value: A{M{"key": M{"a": 1}, "name": "a", "unique": true}}}},
		{{Key: "findAndModify", Value: "a"}, {Key: "query", Value: M{"$expr": M{"$eq": A{"$a", 1}}}}, {Key: "update", Value: M{"$push": M{"a": M{"$each": A{1}}}}}},
		{{Key: "distinct", Value: "a"}, {Key: "key", Value: "a.b"}},
		{{Key: "explain", Value: M{"find": "a"}}},
		{{Key: "getMore", Value: int64(1)}, {Key: "collection", Value: "a"}},
	} {
		raw, err := bson.Marshal(append(doc, bson.E{Key: "$db", Value: "fuzz"}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	s, err := mongo.Open(f.Context(), mongo.Config{Dir: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	address := strings.TrimSuffix(strings.TrimPrefix(s.URL(), "mongodb://"), "/?directConnection=true")
	f.Fuzz(func(t *testing.T, doc []byte) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(msg(0, append([]byte{0}, doc...))); err != nil {
			t.Fatal(err)
		}
		header := make([]byte, 21)
		if _, err := io.ReadFull(conn, header); err != nil {
			if errors.Is(err, io.EOF) {
				return // malformed: the connection ended
			}
			t.Fatal(err)
		}
		reply := make([]byte, binary.LittleEndian.Uint32(header)-21)
		if _, err := io.ReadFull(conn, reply); err != nil {
			t.Fatal(err)
		}
		if text, _ := bson.Raw(reply).Lookup("errmsg").StringValueOK(); strings.Contains(text, "failed on this command") {
			t.Fatalf("panic: %s", text)
		}
	})
}
