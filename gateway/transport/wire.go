package transport

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	largestKept = 64 << 10 // bytes of a buffer that is used again
	unsent      = 32 << 10 // bytes that the kernel holds for a slow client beside what is on its way to it
	readBuffer  = 512      // clients say little; what is larger is read past the buffer

	opText  = 0x1
	opClose = 0x8
	opPong  = 0xa
)

// A wire is a socket's connection. Frames go out whole and in turn: the library's own, of which only close frames are left, and those of
// messages and pongs, which never wait for the client unless they are told to.
type wire struct {
	net.Conn                 // the library reads from it
	raw      syscall.RawConn // nil where there is none; then every frame goes the slow way
	early    []byte          // read before it was a socket
	wait     time.Duration   // for a slow reader to take a frame
	try      func(fd uintptr) bool

	out   sync.Mutex // whoever writes holds it
	frame []byte     // what is tried
	took  int        // how much of it the kernel took
	rest  []byte     // of a frame that it took in part; goes before all else
	shut  bool       // the close frame is out, after which there is none
}

func newWire(c net.Conn, early []byte, wait time.Duration) *wire {
	w := &wire{Conn: c, early: early, wait: wait}
	if s, ok := c.(syscall.Conn); ok {
		w.raw, _ = s.SyscallConn()
	}
	if w.raw != nil {
		holdLittle(w.raw)
	}
	w.try = func(fd uintptr) bool {
		w.took = tryWrite(fd, w.frame)
		return true
	}
	return w
}

// Read is for the library.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
		return n, nil
	}
	return w.Conn.Read(p)
}

// Write is for the library, which writes nothing but control frames, each at once.
func (w *wire) Write(control []byte) (int, error) {
	w.out.Lock()
	defer w.out.Unlock()
	if err := w.flush(); err != nil {
		return 0, err
	}
	if control[0]&0xf == opClose {
		w.shut = true
	}
	return w.Conn.Write(control)
}

// taken is how much of a frame the kernel took.
type taken int

const (
	nothing taken = iota
	half          // and the rest of it goes before all else, by force
	whole
)

// offer gives the kernel a frame if it has room for it now. It does not wait, and does not keep the frame.
func (w *wire) offer(frame []byte) taken {
	if w.raw == nil || !w.out.TryLock() {
		return nothing
	}
	defer w.out.Unlock()
	switch {
	case w.shut:
		return whole
	case w.rest != nil:
		return nothing
	}
	w.frame, w.took = frame, 0
	err := w.raw.Write(w.try)
	w.frame = nil
	switch {
	case err != nil || w.took == 0: // whatever is wrong, force will say it
		return nothing
	case w.took < len(frame):
		w.rest = slices.Clone(frame[w.took:])
		return half
	}
	return whole
}

// force writes a frame, and what is left of the one before it, and waits for the client. When that takes too long the connection is
// beyond use.
func (w *wire) force(frame []byte) error {
	w.out.Lock()
	defer w.out.Unlock()
	if w.shut {
		return nil
	}
	w.SetWriteDeadline(time.Now().Add(w.wait))
	err := w.flush()
	if err == nil && len(frame) > 0 {
		_, err = w.Conn.Write(frame)
	}
	if err != nil {
		w.Close()
		return err
	}
	return w.SetWriteDeadline(time.Time{})
}

func (w *wire) flush() error {
	if w.rest == nil {
		return nil
	}
	_, err := w.Conn.Write(w.rest)
	w.rest = nil
	return err
}

// frames are buffers to make frames in.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// appendFrame appends a message, in parts, as one frame.
func appendFrame(to []byte, op byte, message ...[]byte) []byte {
	n := 0
	for _, part := range message {
		n += len(part)
	}
	const final = 0x80
	to = append(slices.Grow(to, n+10), final|op)
	switch {
	case n < 126:
		to = append(to, byte(n))
	case n < 1<<16:
		to = binary.BigEndian.AppendUint16(append(to, 126), uint16(n))
	default:
		to = binary.BigEndian.AppendUint64(append(to, 127), uint64(n))
	}
	for _, part := range message {
		to = append(to, part...)
	}
	return to
}

// A tap is a response that becomes a wire when the library takes the connection over. Of the server's buffers nothing stays.
type tap struct {
	http.ResponseWriter
	wait time.Duration
	wire *wire
}

// Hijack is for the library.
func (t *tap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, had, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := had.Reader.Peek(had.Reader.Buffered())
	t.wire = newWire(conn, slices.Clone(early), t.wait)
	const control = 2 + 125 // bytes of the longest frame of the library's
	return t.wire, bufio.NewReadWriter(bufio.NewReaderSize(t.wire, readBuffer), bufio.NewWriterSize(t.wire, control)), nil
}
