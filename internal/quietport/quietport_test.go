package quietport_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/quietport"
)

// With this variable set the test binary prints addresses.
const another = "QUIETPORT_ANOTHER"

func TestMain(m *testing.M) {
	if os.Getenv(another) == "" {
		os.Exit(m.Run())
	}
	for range 400 {
		at, err := quietport.Address()
		if err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString(at + "\n")
	}
}

// Nobody else gets an address while this process lives, though nobody listens there.
func TestAnAddressIsOnes(t *testing.T) {
	mine := map[string]bool{}
	for range 400 {
		at, err := quietport.Address()
		if err != nil {
			t.Fatal(err)
		}
		if mine[at] {
			t.Fatalf("%s twice", at)
		}
		mine[at] = true
	}
	for at := range mine {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), another+"=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Fields(string(out))
	if len(theirs) != 400 {
		t.Fatalf("%d addresses of another process", len(theirs))
	}
	for _, at := range theirs {
		if mine[at] {
			t.Errorf("%s of another process too", at)
		}
	}
}
