//go:build !linux

package transport

import "syscall"

// tryWrite writes nothing: here every frame waits its turn.
func tryWrite(uintptr, []byte) int { return 0 }

func holdLittle(syscall.RawConn) {}
