package transport_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rawSocket is a client that writes frames by hand, so that it can misbehave.
type rawSocket struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// patience is how long a test waits before it fails for having waited in vain.
const patience = 20 * time.Second

// dial opens a socket; headers are "Name: value".
func (h house) dial(t *testing.T, headers ...string) *rawSocket {
	t.Helper()
	s, res := h.upgrade(t, append(headers, "Sec-WebSocket-Protocol: graphql-transport-ws")...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %s", res.Status)
	}
	return s
}

func (h house) upgrade(t *testing.T, headers ...string) (*rawSocket, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: souk\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", strings.Join(append(headers, ""), "\r\n"))
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &rawSocket{t, conn, r}, res
}

// frame encodes one masked frame; a zero mask leaves the text as it is.
func frame(op byte, text string) []byte {
	head := []byte{0x80 | op}
	switch n := len(text); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return append(append(head, 0, 0, 0, 0), text...)
}

// send writes all messages at once.
func (s *rawSocket) send(messages ...string) {
	s.t.Helper()
	var all []byte
	for _, m := range messages {
		all = append(all, frame(opText, m)...)
	}
	if _, err := s.conn.Write(all); err != nil {
		s.t.Fatal(err)
	}
}

// frame reads one frame. Each has all the patience there is: a test may read thousands.
func (s *rawSocket) frame() (op byte, payload []byte) {
	s.t.Helper()
	s.conn.SetDeadline(time.Now().Add(patience))
	var head [2]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		s.t.Fatal("no frame: ", err)
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var long [2]byte
		io.ReadFull(s.r, long[:])
		n = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		io.ReadFull(s.r, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(s.r, payload); err != nil {
		s.t.Fatal("half a frame: ", err)
	}
	return head[0] & 0xf, payload
}

// expect reads one message and compares it as text.
func (s *rawSocket) expect(want string) {
	s.t.Helper()
	op, got := s.frame()
	if op != opText || string(got) != want {
		s.t.Fatalf("got %s (frame %x), want %s", got, op, want)
	}
}

// expectClose skips messages until the close frame, and answers it.
func (s *rawSocket) expectClose(code int, reason string) (skipped []string) {
	s.t.Helper()
	for {
		op, got := s.frame()
		if op != opClose {
			skipped = append(skipped, string(got))
			continue
		}
		s.conn.Write(frame(opClose, string(got)))
		if c := int(binary.BigEndian.Uint16(got)); c != code || string(got[2:]) != reason {
			s.t.Fatalf("closed with %d %q, want %d %q", c, got[2:], code, reason)
		}
		return skipped
	}
}

// close leaves politely.
func (s *rawSocket) close() {
	s.t.Helper()
	s.conn.Write(frame(opClose, "\x03\xe8"))
	s.expectClose(1000, "")
}

// greet does the handshake.
func (s *rawSocket) greet() *rawSocket {
	s.t.Helper()
	s.send(`{"type":"connection_init"}`)
	s.expect(`{"type":"connection_ack"}`)
	return s
}

func subscribe(id, query string) string {
	m, _ := json.Marshal(map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": query}})
	return string(m)
}

func complete(id string) string { return fmt.Sprintf(`{"id":%q,"type":"complete"}`, id) }
