package catalog

import (
	"errors"
	"strings"

	"github.com/souk-shop/souk/internal/fault"
)

const mostFaults = 50 // of one input; whoever made more has learnt enough

// Faults is everything wrong with one input, told at once.
type Faults []*fault.Error

// Error joins the messages.
func (fs Faults) Error() string {
	said := make([]string, len(fs))
	for i, f := range fs {
		said[i] = f.Message
	}
	return strings.Join(said, "; ")
}

// Unwrap lets errors.As and errors.Is look at each.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

// Add notes a fault at a path of the input.
func (fs *Faults) Add(f *fault.Error, path ...string) {
	if len(*fs) < mostFaults {
		*fs = append(*fs, f.At(path...))
	}
}

// AddErr notes an error that may be a fault with a path of its own, and returns any other.
func (fs *Faults) AddErr(err error) error {
	var many Faults
	var one *fault.Error
	switch {
	case errors.As(err, &many):
		*fs = append(*fs, many...)
	case errors.As(err, &one):
		*fs = append(*fs, one)
	default:
		return err
	}
	return nil
}

// Err returns the faults, or nil when there are none.
func (fs Faults) Err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}

// under puts what an error blames below a field of a larger input.
func under(err error, path ...string) error {
	var fs Faults
	if err == nil || fs.AddErr(err) != nil {
		return err
	}
	moved := make(Faults, len(fs))
	for i, f := range fs {
		at := path
		if f.Field != nil {
			at = append(append([]string{}, path...), f.Field...)
		}
		moved[i] = f.At(at...)
	}
	return moved
}
