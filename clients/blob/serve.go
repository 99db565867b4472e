package blob

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SignUpload returns an address that ServeHTTP accepts for this key, type and size alone.
func (f *Folder) SignUpload(_ context.Context, key, contentType string, size int64, expires time.Duration) (string, map[string]string, error) {
	if err := checkKey(key); err != nil {
		return "", nil, err
	}
	until := strconv.FormatInt(time.Now().Add(expires).Unix(), 10)
	at := f.base.JoinPath(key)
	at.RawQuery = url.Values{
		"expires":   {until},
		"size":      {strconv.FormatInt(size, 10)},
		"signature": {f.sign(key, contentType, size, until)},
	}.Encode()
	return at.String(), map[string]string{"Content-Type": contentType, "If-None-Match": "*"}, nil
}

func (f *Folder) sign(key, contentType string, size int64, until string) string {
	mac := hmac.New(sha256.New, f.secret)
	fmt.Fprintf(mac, "PUT\n%s\n%s\n%d\n%s", key, contentType, size, until)
	return hex.EncodeToString(mac.Sum(nil))
}

// ServeHTTP takes signed uploads from anywhere, and shows what is under Media to everybody.
func (f *Folder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, ours := strings.CutPrefix(r.URL.Path, f.base.Path+"/")
	if !ours {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		f.show(w, r, key)
	case http.MethodPut:
		f.accept(w, r, key)
	case http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, PUT")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT, OPTIONS")
		http.Error(w, "GET and PUT only", http.StatusMethodNotAllowed)
	}
}

func (f *Folder) show(w http.ResponseWriter, r *http.Request, key string) {
	if !strings.HasPrefix(key, Media) {
		http.NotFound(w, r)
		return
	}
	file, info, err := f.open(key)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrKey):
		http.NotFound(w, r)
		return
	case err != nil:
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	defer file.Close()
	h := w.Header()
	h.Set("Content-Type", info.ContentType)
	h.Set("ETag", info.ETag)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	// A seller's SVG is a document that could run scripts beside the shop's cookies.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(file, 0, info.Size))
}

func (f *Folder) accept(w http.ResponseWriter, r *http.Request, key string) {
	q := r.URL.Query()
	size, err := strconv.ParseInt(q.Get("size"), 10, 64)
	contentType := r.Header.Get("Content-Type")
	if err != nil || !hmac.Equal([]byte(q.Get("signature")), []byte(f.sign(key, contentType, size, q.Get("expires")))) {
		http.Error(w, "the address was not signed for this key, type and size", http.StatusForbidden)
		return
	}
	if until, err := strconv.ParseInt(q.Get("expires"), 10, 64); err != nil || time.Now().Unix() >= until {
		http.Error(w, "the address has expired", http.StatusForbidden)
		return
	}
	if r.ContentLength != size {
		http.Error(w, fmt.Sprintf("exactly %d bytes were announced", size), http.StatusBadRequest)
		return
	}
	err = f.save(key, contentType, r.Body, size, f.root.Link) // refuses what is there already
	switch {
	case errors.Is(err, fs.ErrExist):
		http.Error(w, "the key has been written before", http.StatusPreconditionFailed)
	case errors.Is(err, ErrSize), errors.Is(err, io.ErrUnexpectedEOF):
		http.Error(w, fmt.Sprintf("exactly %d bytes were announced", size), http.StatusBadRequest)
	case errors.Is(err, ErrKey):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, "the file cannot be saved", http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusOK)
	}
}
