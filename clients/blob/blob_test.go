package blob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/blob"
	"github.com/souk-shop/souk/internal/id"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	suite(t, folder(t))
}

func TestBucket(t *testing.T) {
	t.Parallel()
	at := os.Getenv("SOUK_TEST_BLOB_URL")
	if at == "" {
		t.Skip("SOUK_TEST_BLOB_URL names no bucket")
	}
	store, err := blob.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	suite(t, store)
}

func folder(t *testing.T) *blob.Folder {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	store := open(t, t.TempDir(), server.URL)
	mux.Handle("/blobs/", store)
	return store
}

func open(t *testing.T, dir, server string) *blob.Folder {
	t.Helper()
	at := url.URL{Scheme: "file", Path: dir, RawQuery: url.Values{"base": {server + "/blobs"}, "secret": {"hush"}}.Encode()}
	store, err := blob.Open(t.Context(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	return store.(*blob.Folder)
}

// suite is what every store does.
func suite(t *testing.T, store blob.Store) {
	content := make([]byte, 100_000)
	rand.Read(content)
	fresh := func() string { return blob.Media + id.New(id.Media) + ".png" }

	t.Run("what was put is there", func(t *testing.T) {
		key := fresh()
		if err := store.Put(t.Context(), key, "image/png", bytes.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
		r, info, err := store.Open(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		st, err := store.Stat(t.Context(), key)
		if err != nil || st != info || st.Size != int64(len(content)) || st.ContentType != "image/png" || st.ETag == "" {
			t.Fatalf("%+v, %+v, %v", st, info, err)
		}
	})
	t.Run("put replaces", func(t *testing.T) {
		key := fresh()
		for _, text := range []string{"first", "second one"} {
			if err := store.Put(t.Context(), key, "text/plain", strings.NewReader(text), int64(len(text))); err != nil {
				t.Fatal(err)
			}
		}
		if st, err := store.Stat(t.Context(), key); err != nil || st.Size != int64(len("second one")) {
			t.Fatalf("%+v, %v", st, err)
		}
	})
	t.Run("put of another size", func(t *testing.T) {
		for _, size := range []int64{4, 6} {
			key := fresh()
			if err := store.Put(t.Context(), key, "text/plain", strings.NewReader("12345"), size); !errors.Is(err, blob.ErrSize) {
				t.Errorf("5 bytes as %d: %v", size, err)
			}
			if _, err := store.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("5 bytes as %d: left something: %v", size, err)
			}
		}
	})
	t.Run("what is not there", func(t *testing.T) {
		key := fresh()
		if _, err := store.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Error(err)
		}
		if _, _, err := store.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Error(err)
		}
		if err := store.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
	})
	t.Run("what was deleted is gone", func(t *testing.T) {
		key := fresh()
		if err := store.Put(t.Context(), key, "text/plain", strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
		if err := store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Fatal(err)
		}
	})
	t.Run("malformed keys", func(t *testing.T) {
		for _, key := range []string{"", "/", "/etc/passwd", "..", "media/../../x", "media//x", "media/./x", "media/", "media/.x", "media/a b",
			"media/\x00", `media\x`, "media/ü", "media/%2e%2e", strings.Repeat("a", 600)} {
			if _, _, err := store.SignUpload(t.Context(), key, "text/plain", 1, time.Minute); !errors.Is(err, blob.ErrKey) {
				t.Errorf("sign %q: %v", key, err)
			}
			if err := store.Put(t.Context(), key, "text/plain", strings.NewReader("x"), 1); !errors.Is(err, blob.ErrKey) {
				t.Errorf("put %q: %v", key, err)
			}
			if _, err := store.Stat(t.Context(), key); !errors.Is(err, blob.ErrKey) {
				t.Errorf("stat %q: %v", key, err)
			}
			if err := store.Delete(t.Context(), key); !errors.Is(err, blob.ErrKey) {
				t.Errorf("delete %q: %v", key, err)
			}
		}
	})
	t.Run("a signed upload", func(t *testing.T) {
		key := fresh()
		at, headers := sign(t, store, key, int64(len(content)), time.Minute)
		if code := put(t, at, headers, content); code != http.StatusOK {
			t.Fatalf("status %d", code)
		}
		if st, err := store.Stat(t.Context(), key); err != nil || st.Size != int64(len(content)) || st.ContentType != "image/png" {
			t.Fatalf("%+v, %v", st, err)
		}
		if code := put(t, at, headers, content); code != http.StatusPreconditionFailed {
			t.Fatalf("a second upload to the same key: status %d", code)
		}
	})
	t.Run("uploads that were not signed for", func(t *testing.T) {
		for name, forge := range map[string]func(at string, headers map[string]string, body []byte) (string, map[string]string, []byte){
			"another key": func(at string, h map[string]string, b []byte) (string, map[string]string, []byte) {
				return strings.Replace(at, "med_", "med_X", 1), h, b
			},
			"another type": func(at string, _ map[string]string, b []byte) (string, map[string]string, []byte) {
				return at, map[string]string{"Content-Type": "text/html", "If-None-Match": "*"}, b
			},
			"more bytes": func(at string, h map[string]string, b []byte) (string, map[string]string, []byte) {
				return at, h, append(b, 'x')
			},
			"fewer bytes": func(at string, h map[string]string, b []byte) (string, map[string]string, []byte) {
				return at, h, b[1:]
			},
			"no signature": func(at string, h map[string]string, b []byte) (string, map[string]string, []byte) {
				bare, _, _ := strings.Cut(at, "?")
				return bare, h, b
			},
		} {
			key := fresh()
			at, headers, body := forge(func() (string, map[string]string, []byte) {
				at, headers := sign(t, store, key, int64(len(content)), time.Minute)
				return at, headers, bytes.Clone(content)
			}())
			if code := put(t, at, headers, body); code < 400 || code >= 500 {
				t.Errorf("%s: status %d", name, code)
			}
			if _, err := store.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s: left something: %v", name, err)
			}
		}
	})
}

func sign(t *testing.T, store blob.Store, key string, size int64, expires time.Duration) (string, map[string]string) {
	t.Helper()
	at, headers, err := store.SignUpload(t.Context(), key, "image/png", size, expires)
	if err != nil {
		t.Fatal(err)
	}
	return at, headers
}

func put(t *testing.T, at string, headers map[string]string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, at, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	return do(t, req).StatusCode
}

func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res
}

func TestExpiredUpload(t *testing.T) {
	t.Parallel()
	store := folder(t)
	at, headers := sign(t, store, "media/late", 1, -time.Second)
	if code := put(t, at, headers, []byte("x")); code != http.StatusForbidden {
		t.Fatalf("status %d", code)
	}
}

func TestServingPictures(t *testing.T) {
	t.Parallel()
	store := folder(t)
	for _, key := range []string{"media/a.svg", "feeds/a.csv"} {
		if err := store.Put(t.Context(), key, "image/svg+xml", strings.NewReader("0123456789"), 10); err != nil {
			t.Fatal(err)
		}
	}
	get := func(at string, headers ...string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return do(t, req)
	}
	whole := get(store.PublicURL("media/a.svg"))
	body, _ := io.ReadAll(whole.Body)
	if whole.StatusCode != 200 || string(body) != "0123456789" || whole.Header.Get("Content-Type") != "image/svg+xml" ||
		!strings.Contains(whole.Header.Get("Cache-Control"), "immutable") || !strings.Contains(whole.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Fatalf("%d %q %v", whole.StatusCode, body, whole.Header)
	}
	if again := get(store.PublicURL("media/a.svg"), "If-None-Match", whole.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("known already: status %d", again.StatusCode)
	}
	part := get(store.PublicURL("media/a.svg"), "Range", "bytes=2-4")
	if body, _ := io.ReadAll(part.Body); part.StatusCode != http.StatusPartialContent || string(body) != "234" {
		t.Errorf("range: %d %q", part.StatusCode, body)
	}
	if over := get(store.PublicURL("media/a.svg"), "Range", "bytes=10-"); over.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("what follows the file can be read: %d", over.StatusCode)
	}
	for _, path := range []string{"media/none", "media", "media/", "feeds/a.csv", "media/..%2ffeeds%2fa.csv", "..%2f..%2fetc%2fpasswd"} {
		if res := get(store.PublicURL("") + path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
}

// A link in the folder that leads out of it, however it got there, leads nowhere.
func TestLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := open(t, dir, "http://shop.test")
	if err := os.MkdirAll(filepath.Join(dir, "files/media"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "files/media/link")); err != nil {
		t.Fatal(err)
	}
	if r, _, err := store.Open(context.Background(), "media/link"); err == nil {
		r.Close()
		t.Fatal("read through the link")
	}
}

func TestStoresThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"", "ftp://host/x", "file:///tmp", "file://host/tmp?base=http://a&secret=b", "s3://host/bucket", "s3://k:s@host/", "s3://k:s@host/b?secure=maybe"} {
		if _, err := blob.Open(t.Context(), at); err == nil || strings.Contains(err.Error(), "k:s") {
			t.Errorf("%q: %v", at, err)
		}
	}
}
