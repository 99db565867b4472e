package supervise

import "syscall"

// attributes make a child that dies with its parent, and that a Ctrl-C in the parent's terminal does not reach: the parent ends it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
