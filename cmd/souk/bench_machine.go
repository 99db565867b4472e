package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A benchMachine is what figures have to be read with.
type benchMachine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	RAMMB  int    `json:"ramMB"`
	System string `json:"system"`
	Go     string `json:"go"`
	Load   string `json:"loadAverage"`     // of the last minute, before anything was measured
	Fsync  string `json:"fsync,omitempty"` // as PostgreSQL answers; the other engines always do
}

func thisMachine() benchMachine {
	m := benchMachine{Cores: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	m.CPU = firstField("/proc/cpuinfo", "model name")
	kilobytes, _ := strconv.Atoi(strings.TrimSuffix(firstField("/proc/meminfo", "MemTotal"), " kB"))
	m.RAMMB = kilobytes >> 10
	if averages, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(averages), " ")
	}
	return m
}

// String is the machine in a line.
func (m benchMachine) String() string {
	said := []string{fmt.Sprintf("%d cores", m.Cores), m.CPU}
	if m.RAMMB > 0 {
		said = append(said, fmt.Sprintf("%d MB RAM", m.RAMMB))
	}
	said = append(said, m.System, m.Go)
	if m.Fsync != "" {
		said = append(said, "fsync "+m.Fsync)
	}
	if m.Load != "" {
		said = append(said, "load average before "+m.Load)
	}
	return strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), ", ")
}

// firstField returns the value of the first line `name: value` of a file, "" where there is none.
func firstField(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// timeDisk writes a block and waits for the disk, again and again: what each order pays several times at least.
func timeDisk(ctx context.Context, dir string, how time.Duration) (timings, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return timings{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	return load(ctx, 1, how, func(context.Context, int, int) error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return f.Sync()
	})
}
