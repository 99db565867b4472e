// Package supervise runs programs in processes of their own: it keeps them running, and kills them to show that they may die.
package supervise

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A Program is what a process runs.
type Program struct {
	Path   string
	Args   []string
	Env    []string
	Log    string    // the file that what it says is added to; "" to say nothing
	Stdout io.Writer // nil for the log
}

// A Process is a program that was started. It does not outlive this one, where the system allows that.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts a program. It does not wait for it to be good for anything.
func Start(p Program) (*Process, error) {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env, cmd.SysProcAttr = p.Env, attributes()
	if p.Log != "" {
		log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		defer log.Close() // the process has its own
		cmd.Stdout, cmd.Stderr = log, log
	}
	if p.Stdout != nil {
		cmd.Stdout = p.Stdout
	}
	started := &Process{cmd: cmd, done: make(chan struct{})}
	failed := make(chan error, 1)
	go func() {
		// The kernel tells the child that its parent died when the parent's *thread* does, so this one is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			failed <- err
			return
		}
		failed <- nil
		started.err = cmd.Wait()
		close(started.done)
	}()
	if err := <-failed; err != nil {
		return nil, err
	}
	return started, nil
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells how the process ended, once it has.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Kill ends the process without telling it, and waits until it has gone.
func (p *Process) Kill() {
	p.cmd.Process.Kill() // fails only when it has gone
	<-p.done
}

// Stop asks the process to end as Ctrl-C does, and kills it when it takes longer than it may.
func (p *Process) Stop(patience time.Duration) error {
	p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.Kill()
	}
	return p.err
}
