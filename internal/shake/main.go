// Command shake runs tests with a Go runtime that delays goroutines, and who has written to a socket or read from one, at random: what
// depends on who comes first, or on how little time something takes, fails here before it fails on a busy machine. Its arguments are
// those of go test:
//
//	go run ./internal/pgtest/withpg go run ./internal/shake -count=10 -run TestAnswer ./gateway
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// A change puts what delays beside a line of the standard library.
type change struct{ file, was, is string }

// One wake-up in thirty is delayed before or after, one goroutine in eighty when it is to run, by 1 to 9 ms; one read or write in
// fifteen once it is done, by 5 to 55 ms.
var changes = []change{
	{"runtime/proc.go", "		ready(gp, traceskip, true)\n", `		if cheaprandn(60) == 0 {
			usleep(1000 + cheaprandn(8000))
		}
		ready(gp, traceskip, true)
		if cheaprandn(60) == 0 {
			usleep(1000 + cheaprandn(8000))
		}
`},
	{"runtime/proc.go", "func execute(gp *g, inheritTime bool) {\n", `func execute(gp *g, inheritTime bool) {
	if cheaprandn(80) == 0 {
		usleep(1000 + cheaprandn(8000))
	}
`},
	{"internal/poll/fd_unix.go", `import (
`, `import (
	"time"
	_ "unsafe" // for linkname
`},
	{"internal/poll/fd_unix.go", `// Read implements io.Reader.
func (fd *FD) Read(p []byte) (int, error) {
`, `//go:linkname draw runtime.cheaprandn
func draw(n uint32) uint32

//go:linkname sleep time.Sleep
func sleep(time.Duration)

func delay() {
	if draw(15) == 0 {
		sleep(time.Duration(5+draw(50)) * time.Millisecond)
	}
}

// Read implements io.Reader.
func (fd *FD) Read(p []byte) (int, error) {
	defer delay()
`},
	{"internal/poll/fd_unix.go", `// Write implements io.Writer.
func (fd *FD) Write(p []byte) (int, error) {
`, `// Write implements io.Writer.
func (fd *FD) Write(p []byte) (int, error) {
	defer delay()
`},
}

func main() {
	err := run(os.Args[1:])
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shake:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	folder, err := os.MkdirTemp("", "souk-shake-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	overlay, err := write(folder)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"test", "-race", "-ldflags=-checklinkname=0", "-overlay", overlay}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// write writes the changed files, and the overlay that go takes in place of its own.
func write(folder string) (overlay string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(string(bytes.TrimSpace(root)), "src")
	texts := map[string][]byte{}
	for _, c := range changes {
		if texts[c.file] == nil {
			if texts[c.file], err = os.ReadFile(filepath.Join(source, c.file)); err != nil {
				return "", err
			}
		}
		if n := bytes.Count(texts[c.file], []byte(c.was)); n != 1 {
			return "", fmt.Errorf("%s of %s has %d places that read %q, and one is wanted", c.file, runtime.Version(), n, c.was)
		}
		texts[c.file] = bytes.Replace(texts[c.file], []byte(c.was), []byte(c.is), 1)
	}
	replace := map[string]string{}
	for file, text := range texts {
		to := filepath.Join(folder, filepath.Base(file))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(source, file)] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(folder, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
