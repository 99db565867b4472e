package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrInUse says that another process runs a server on the same folder.
var ErrInUse = errors.New("data folder is in use")

const clusterName = "cluster"

// madeBy returns the major version of PostgreSQL that made the cluster, "" when there is none yet.
func madeBy(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, clusterName, "PG_VERSION"))
	if err != nil { // the start that follows says why, unless there is just no cluster
		return ""
	}
	return strings.TrimSpace(string(text))
}

// initialise makes the cluster's folder whole or not at all.
func initialise(ctx context.Context, bin, cluster string, who account, volatile bool) error {
	draft := cluster + ".draft"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := os.Mkdir(draft, 0o700); err != nil {
		return err
	}
	if err := who.own(draft); err != nil {
		return err
	}
	// Peers on the socket are trusted: its folder lets in its owner alone.
	args := []string{"-D", draft, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"}
	if volatile {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), args...)
	cmd.SysProcAttr = who.attributes()
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return who.explain(fmt.Errorf("initialise PostgreSQL: %w: %s", err, strings.TrimSpace(string(out))))
	}
	return os.Rename(draft, cluster)
}

// acquire locks the folder. The lock is shared with the server's own processes, so it is free only when all have ended.
// A server that outlives its killed parent by a moment, to shut down in order, is waited for.
func acquire(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, sign(f)
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if owner := ownerOf(f); owner != 0 && alive(owner) {
			f.Close()
			return nil, fmt.Errorf("%s: %w by process %d", dir, ErrInUse, owner)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("%s: %w by a server that does not end", dir, ErrInUse)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sign writes down whose lock it is.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

func ownerOf(f *os.File) int {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0)
	pid, _ := strconv.Atoi(string(text[:n]))
	return pid
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
