package typesense

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// What a record of the log says.
const (
	opSchema = 'S' // the schema from here on, as JSON
	opPut    = 'P' // a whole document, as JSON
	opDelete = 'D' // a document's id
)

// maxRecord is far above any document that the API lets in; a longer one in a log is damage.
const maxRecord = 256 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// wal is a collection's log: what commit has returned for is on disk, whatever happens next.
//
// A record is its length and its CRC-32C, four bytes each, then an op and its data.
type wal struct {
	path string

	mu       sync.Mutex // guards what follows
	f        *os.File
	w        *bufio.Writer
	size     int64
	appended uint64
	broken   error // set once a write or a sync has failed: the log takes nothing more

	syncing sync.Mutex // held by the one caller that syncs for all who wait
	synced  uint64
}

// record is one entry of a log as it is read back.
type record struct {
	op   byte
	data []byte
}

// createLog starts a log with its first records, durably.
func createLog(path string, first ...record) (*wal, error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	l := &wal{path: path, f: f, w: bufio.NewWriterSize(f, 1<<16)}
	for _, r := range first {
		if _, err := l.append(r.op, r.data); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err := l.publish(tmp); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// publish makes a finished temporary file the log.
func (l *wal) publish(tmp string) error {
	if err := l.commit(l.appended); err != nil {
		return err
	}
	if err := os.Rename(tmp, l.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(l.path))
}

// openLog reads a log and goes on writing at its end. A record that was being written when the process died is cut
// off; torn tells how many bytes that were.
func openLog(path string, visit func(record) error) (l *wal, torn int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("log %s: %w", filepath.Base(path), err), f.Close())
		}
	}()
	good, err := readLog(bufio.NewReaderSize(f, 1<<20), visit)
	if err != nil {
		return nil, 0, err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	if torn = end - good; torn > 0 {
		if err := f.Truncate(good); err != nil {
			return nil, 0, err
		}
		if err := f.Sync(); err != nil {
			return nil, 0, err
		}
	}
	if _, err := f.Seek(good, io.SeekStart); err != nil {
		return nil, 0, err
	}
	return &wal{path: path, f: f, w: bufio.NewWriterSize(f, 1<<16), size: good}, torn, nil
}

// readLog visits whole records and returns where the last one ends.
func readLog(r io.Reader, visit func(record) error) (good int64, err error) {
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return good, ignoreEOF(err)
		}
		n := binary.LittleEndian.Uint32(head[:4])
		if n == 0 || n > maxRecord {
			return good, nil
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return good, ignoreEOF(err)
		}
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return good, nil
		}
		if err := visit(record{op: body[0], data: body[1:]}); err != nil {
			return good, err
		}
		good += int64(len(head)) + int64(n)
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// append writes a record and returns the ticket that commit takes.
func (l *wal) append(op byte, data []byte) (ticket uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return 0, l.broken
	}
	var head [9]byte
	binary.LittleEndian.PutUint32(head[:4], uint32(1+len(data)))
	crc := crc32.Update(crc32.Checksum([]byte{op}, castagnoli), castagnoli, data)
	binary.LittleEndian.PutUint32(head[4:8], crc)
	head[8] = op
	if _, err := l.w.Write(head[:]); err != nil {
		return 0, l.breaks(err)
	}
	if _, err := l.w.Write(data); err != nil {
		return 0, l.breaks(err)
	}
	l.size += int64(len(head) + len(data))
	l.appended++
	return l.appended, nil
}

// breaks remembers why the log can no longer be trusted. The caller holds mu.
func (l *wal) breaks(err error) error {
	if l.broken == nil {
		l.broken = err
	}
	return l.broken
}

// commit returns when everything up to the ticket is on disk. Whoever comes first syncs for all who appended before.
func (l *wal) commit(ticket uint64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= ticket {
		return nil
	}
	l.mu.Lock()
	err := l.broken
	if err == nil {
		if err = l.w.Flush(); err != nil {
			l.breaks(err)
		}
	}
	upTo, f := l.appended, l.f
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.breaks(err)
	}
	l.synced = upTo
	return nil
}

// replace swaps the log for a shorter one that says the same; nobody may append meanwhile.
func (l *wal) replace(records func(yield func(record) bool)) error {
	tmp := l.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	next := &wal{path: l.path, f: f, w: bufio.NewWriterSize(f, 1<<20)}
	for r := range records {
		if _, err := next.append(r.op, r.data); err != nil {
			return errors.Join(err, f.Close(), os.Remove(tmp))
		}
	}
	if err := next.commit(next.appended); err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.Rename(tmp, l.path); err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	if err := syncDir(filepath.Dir(l.path)); err != nil {
		return l.breaks(err)
	}
	old := l.f
	l.f, l.w, l.size = next.f, next.w, next.size
	l.synced = l.appended // the new log holds everything the old one did
	return old.Close()
}

func (l *wal) length() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// close writes what is left and lets go of the file.
func (l *wal) close() error {
	l.mu.Lock()
	ticket := l.appended
	l.mu.Unlock()
	err := l.commit(ticket)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breaks(os.ErrClosed)
	return errors.Join(err, l.f.Close())
}

// writeFile replaces a file's content so that after a crash it is either the old or the new one.
func writeFile(path string, content []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
