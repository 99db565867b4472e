//go:build !linux

package supervise

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
