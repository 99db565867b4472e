//go:build !linux

package postgres

import "syscall"

// An account is who the server's processes run as; outside Linux always ourselves.
type account struct{}

func unprivileged(cluster, bin string) (account, error) { return account{}, nil }

func (account) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
func (account) own(string) error                 { return nil }
func (account) explain(err error) error          { return err }
