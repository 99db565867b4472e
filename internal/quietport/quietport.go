// Package quietport finds ports for servers that somebody else starts, kills and starts again.
package quietport

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
)

// Outside of what connections on their way out are given ports from, on Linux 32768 to 60999.
const first, last = 10_000, 29_999

var kept sync.Map // tokens, by port: what nobody refers to is closed

var errNone = errors.New("no port of this machine is free")

// Address returns an address on loopback at which nobody listens. Until this process ends no other call returns it, in whatever
// process, and no connection on its way out takes its port, even while nobody listens.
func Address() (string, error) {
	for range 1000 {
		at := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: first + rand.IntN(last-first+1)}
		// The UDP port of that number is a token: whoever has bound it has the address.
		token, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port})
		if err != nil {
			continue
		}
		l, err := net.ListenTCP("tcp", &at)
		if err != nil {
			token.Close()
			continue
		}
		l.Close()
		kept.Store(at.Port, token)
		return at.String(), nil
	}
	return "", errNone
}
