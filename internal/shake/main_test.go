package main

import (
	"encoding/json"
	"os"
	"testing"
)

// The Go that is installed has the lines that are changed. Whether it delays, each run of it shows by what it takes.
func TestTheStandardLibraryIsKnown(t *testing.T) {
	overlay, err := write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	var of struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &of); err != nil || len(of.Replace) != 2 {
		t.Errorf("%s: %v", text, err)
	}
	for was, is := range of.Replace {
		before, after := size(t, was), size(t, is)
		if after <= before {
			t.Errorf("%s has %d bytes, and %s %d", is, after, was, before)
		}
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
