package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// An account is who the server's processes run as. PostgreSQL refuses to be root.
type account struct {
	uid, gid int
	change   bool // become uid and gid
	disguise bool // stay root, seen as somebody else from inside a user namespace
}

const nobody = 65534

// unprivileged chooses who may run the server: ourselves, unless we are root; then whoever owns the cluster, the user
// postgres, or nobody; and where these may not enter the folders, root in a user namespace of its own.
func unprivileged(cluster, bin string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	who := account{uid: nobody, gid: nobody, change: true}
	st, err := os.Stat(cluster)
	switch {
	case err == nil:
		sys := st.Sys().(*syscall.Stat_t)
		who.uid, who.gid = int(sys.Uid), int(sys.Gid)
	case errors.Is(err, os.ErrNotExist):
		if u, err := user.Lookup("postgres"); err == nil {
			who.uid, _ = strconv.Atoi(u.Uid)
			who.gid, _ = strconv.Atoi(u.Gid)
		}
		if !enterable(cluster) || !enterable(filepath.Join(bin, "postgres")) {
			who.uid = 0
		}
	default:
		return account{}, err
	}
	if who.uid == 0 {
		return account{disguise: true}, nil
	}
	return who, nil
}

// enterable tells whether others may pass through every folder above path.
func enterable(path string) bool {
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err == nil && st.Mode()&0o001 == 0 {
			return false
		}
	}
	return true
}

// attributes make a child of this account that is told to shut down when its parent dies, and that a Ctrl-C in the
// parent's terminal does not reach, for the parent has to finish first.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	switch {
	case a.change:
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	case a.disguise:
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}
	}
	return attr
}

// own gives a folder to the account.
func (a account) own(path string) error {
	if !a.change {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// explain adds to an error what the account has to do with it.
func (a account) explain(err error) error {
	if a.disguise {
		return fmt.Errorf("%w (PostgreSQL refuses to run as root: use an ordinary user, or a data folder that user postgres can enter)", err)
	}
	return err
}
