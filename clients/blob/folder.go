package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"
	"time"
)

// A Folder keeps files in a folder of this machine, and serves them: it is an http.Handler for the path of its base URL.
type Folder struct {
	root   *os.Root // nothing outside it can be named, by dots or by links
	base   *url.URL
	secret []byte
}

const (
	files    = "files"
	incoming = "incoming"
)

func openFolder(at *url.URL) (*Folder, error) {
	q := at.Query()
	base, err := url.Parse(q.Get("base"))
	if err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	if at.Host != "" || at.Path == "" || base.Host == "" || q.Get("secret") == "" {
		return nil, errors.New("a folder is named file:///dir?base=http://host/path&secret=…")
	}
	if err := os.MkdirAll(at.Path, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(at.Path)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{files, incoming} {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	f := &Folder{root: root, base: base, secret: []byte(q.Get("secret"))}
	return f, f.sweep()
}

// sweep removes what uploads left that were cut off by the end of the process.
func (f *Folder) sweep() error {
	left, err := fs.ReadDir(f.root.FS(), incoming)
	if err != nil {
		return err
	}
	for _, entry := range left {
		if st, err := entry.Info(); err == nil && time.Since(st.ModTime()) > 24*time.Hour {
			if err := f.root.Remove(path.Join(incoming, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Ping tells whether the folder is there.
func (f *Folder) Ping(context.Context) error {
	_, err := f.root.Stat(files)
	return err
}

// PublicURL returns where ServeHTTP serves the key.
func (f *Folder) PublicURL(key string) string { return f.base.JoinPath(key).String() }

// Put saves a file as a whole or not at all.
func (f *Folder) Put(_ context.Context, key, contentType string, r io.Reader, size int64) error {
	return f.save(key, contentType, r, size, f.root.Rename)
}

// save writes beside, then moves into place.
func (f *Folder) save(key, contentType string, r io.Reader, size int64, place func(from, to string) error) (err error) {
	if err := checkKey(key); err != nil {
		return err
	}
	draft := path.Join(incoming, rand.Text())
	out, err := f.root.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.root.Remove(draft) // there is none when all went well
	if err := errors.Join(write(out, contentType, r, size), out.Close()); err != nil {
		return err
	}
	to := path.Join(files, key)
	if err := f.root.MkdirAll(path.Dir(to), 0o755); err != nil {
		return err
	}
	return place(draft, to)
}

func write(out *os.File, contentType string, r io.Reader, size int64) error {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	if n != size {
		return ErrSize
	}
	if err := writeTail(out, tail{contentType, etag(sum)}); err != nil {
		return err
	}
	return out.Sync()
}

func etag(sum hash.Hash) string { return `"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"` }

// Open returns the bytes of a file.
func (f *Folder) Open(_ context.Context, key string) (io.ReadCloser, Info, error) {
	file, info, err := f.open(key)
	if err != nil {
		return nil, Info{}, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(file, 0, info.Size), file}, info, nil
}

func (f *Folder) open(key string) (*os.File, Info, error) {
	if err := checkKey(key); err != nil {
		return nil, Info{}, err
	}
	file, err := f.root.Open(path.Join(files, key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return nil, Info{}, ErrNotFound
	}
	if err != nil {
		return nil, Info{}, err
	}
	info, err := readTail(file)
	if err != nil {
		return nil, Info{}, errors.Join(fmt.Errorf("%s: %w", key, err), file.Close())
	}
	return file, info, nil
}

// Stat tells about a file.
func (f *Folder) Stat(_ context.Context, key string) (Info, error) {
	file, info, err := f.open(key)
	if err != nil {
		return Info{}, err
	}
	return info, file.Close()
}

// Delete removes a file.
func (f *Folder) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := f.root.Remove(path.Join(files, key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return nil
	}
	return err
}
