package blob

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"syscall"
)

// A tail follows the bytes of a file in the same file, so that both come and go at once.
type tail struct {
	ContentType string `json:"type"`
	ETag        string `json:"etag"`
}

const (
	mark        = "souk"
	longestTail = 1 << 16
)

var (
	errNotDir = syscall.ENOTDIR
	errNoTail = errors.New("not a file of this store")
)

// writeTail appends the tail as JSON, its length and a mark.
func writeTail(w io.Writer, t tail) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	text = binary.BigEndian.AppendUint32(text, uint32(len(text)))
	_, err = w.Write(append(text, mark...))
	return err
}

func readTail(f *os.File) (Info, error) {
	st, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	if st.IsDir() {
		return Info{}, ErrNotFound
	}
	var end [8]byte
	if _, err := f.ReadAt(end[:], st.Size()-int64(len(end))); err != nil || string(end[4:]) != mark {
		return Info{}, errNoTail
	}
	length := int64(binary.BigEndian.Uint32(end[:4]))
	size := st.Size() - int64(len(end)) - length
	if length > longestTail || size < 0 {
		return Info{}, errNoTail
	}
	text := make([]byte, length)
	if _, err := f.ReadAt(text, size); err != nil {
		return Info{}, err
	}
	var t tail
	if err := json.Unmarshal(text, &t); err != nil {
		return Info{}, errNoTail
	}
	return Info{Size: size, ContentType: t.ContentType, ETag: t.ETag}, nil
}
