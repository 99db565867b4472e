package typesense

import (
	"testing"
)

const testKey = "test-key"

// open starts a server on a folder and closes it with the test.
func open(t testing.TB, dir string) *Server {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir, APIKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
