package mongo

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"runtime/debug"

	"go.mongodb.org/mongo-driver/bson"
)

// keptBuffer is how large a connection's buffers may stay between messages.
const keptBuffer = 1 << 20

// connection answers one client, message after message.
type connection struct {
	server *Server
	net    net.Conn
	in     bytes.Buffer
	out    []byte
}

// serve returns when the client leaves, misbehaves or the server closes.
func (c *connection) serve() {
	defer c.net.Close()
	r := bufio.NewReader(c.net)
	for {
		m, err := readMessage(r, &c.in)
		if err != nil {
			if errors.Is(err, errProtocol) {
				c.server.log.Warn("embedded mongo: connection ended", "client", c.net.RemoteAddr(), "error", err)
			} else if !errors.Is(err, io.EOF) {
				c.server.log.Debug("embedded mongo: connection ended", "client", c.net.RemoteAddr(), "error", err)
			}
			return
		}
		answer := c.answer(m)
		if m.flags&flagMoreToCome != 0 { // the client does not read an answer
			continue
		}
		if err := c.reply(m, answer); err != nil {
			return
		}
		if c.in.Cap() > keptBuffer {
			c.in = bytes.Buffer{}
		}
		if cap(c.out) > keptBuffer {
			c.out = nil
		}
	}
}

func (c *connection) reply(m *message, answer bson.D) error {
	var err error
	if c.out, err = appendReply(c.out[:0], uint32(c.server.nextID()), m, answer); err == nil && len(c.out) > maxMessageSize {
		err = errorf(codeObjectTooLarge, "the answer of %d bytes does not fit a message", len(c.out))
	}
	if err != nil {
		if c.out, err = appendReply(nil, uint32(c.server.nextID()), m, failure(err)); err != nil {
			return err
		}
	}
	_, err = c.net.Write(c.out)
	return err
}

// answer runs one command; whatever a request makes panic costs that request an error and nobody else anything.
func (c *connection) answer(m *message) (answer bson.D) {
	defer func() {
		if p := recover(); p != nil {
			c.server.log.Error("embedded mongo: panic", "panic", p, "stack", string(debug.Stack()))
			answer = failure(errorf(codeInternalError, "the embedded store failed on this command: %v", p))
		}
	}()
	args, err := decode(m.command)
	if err != nil {
		return failure(err)
	}
	if len(args) == 0 {
		return failure(errorf(codeFailedToParse, "empty command"))
	}
	r := &request{server: c.server, name: args[0].Key, args: args, sequences: m.sequences}
	if r.database, _ = lookup(args, "$db").(string); m.kind == opQuery {
		r.database = "admin"
	}
	return r.answer()
}
