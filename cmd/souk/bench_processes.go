package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU time in /proc.
const clockTick = 10 * time.Millisecond

// memory is what a process has in RAM, and the processes it started, in MB.
type memory struct {
	own      float64
	children float64 // what they share with each other is counted for each
	shared   float64 // the same with what they share counted once; 0 where the system does not tell
}

// memoryOf reads it out of /proc; elsewhere it is an error.
func memoryOf(pid int) (memory, error) {
	var m memory
	var err error
	if m.own, err = residentMB(pid, "status", "VmRSS"); err != nil {
		return m, err
	}
	children, err := descendants(pid)
	if err != nil {
		return m, err
	}
	for _, child := range children {
		rss, err := residentMB(child, "status", "VmRSS")
		if err != nil {
			continue // it has ended since
		}
		m.children += rss
		if pss, err := residentMB(child, "smaps_rollup", "Pss"); err == nil {
			m.shared += pss
		}
	}
	return m, nil
}

func residentMB(pid int, file, field string) (float64, error) {
	said := firstField(fmt.Sprintf("/proc/%d/%s", pid, file), field)
	kilobytes, err := strconv.Atoi(strings.TrimSuffix(said, " kB"))
	if err != nil {
		return 0, fmt.Errorf("/proc tells no %s of process %d", field, pid)
	}
	return float64(kilobytes) / 1024, nil
}

// cpu is the CPU time of a process, and of the processes it started, so far. Both are 0 where there is no /proc.
type cpu struct{ own, children time.Duration }

func cpuOf(pid int) cpu {
	c := cpu{own: cpuTime(pid)}
	children, err := descendants(pid)
	if err != nil {
		return c
	}
	for _, child := range children {
		c.children += cpuTime(child)
	}
	return c
}

// cpuTime is what one process took, in user and system mode: the 14th and 15th fields of its stat. The second is a name in
// brackets, which may have spaces.
func cpuTime(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

// descendants are the processes that a process started, and those that these did.
func descendants(of int) ([]int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return nil, err
	}
	parents := map[int]int{}
	for _, file := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if parent, err := strconv.Atoi(firstField(file, "PPid")); err == nil {
			parents[pid] = parent
		}
	}
	var found []int
	for pid := range parents {
		for p := parents[pid]; p > 0; p = parents[p] {
			if p == of {
				found = append(found, pid)
				break
			}
		}
	}
	return found, nil
}
