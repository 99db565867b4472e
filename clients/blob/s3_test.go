package blob_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/blob"
)

const s3Key, s3Secret = "access", "hush"

// TestBucketProtocol runs the suite against a server that checks presigned requests as S3 does, from its documentation:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
func TestBucketProtocol(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&s3{objects: map[string]object{}})
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	store, err := blob.Open(t.Context(), fmt.Sprintf("s3://%s:%s@%s/goods?region=us-east-1&secure=false", s3Key, s3Secret, host))
	if err != nil {
		t.Fatal(err)
	}
	if at := store.PublicURL("media/a.png"); at != server.URL+"/goods/media/a.png" {
		t.Errorf("public at %s", at)
	}
	suite(t, store)

	_, err = blob.Open(t.Context(), fmt.Sprintf("s3://%s:%s@%s/none?region=us-east-1&secure=false", s3Key, s3Secret, host))
	if err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

// s3 is a bucket called goods.
type s3 struct {
	mu      sync.Mutex
	objects map[string]object
}

type object struct {
	contentType string
	body        []byte
}

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := strings.CutPrefix(r.URL.Path, "/goods/")
	if !ok {
		refuse(w, r, http.StatusNotFound, "NoSuchBucket")
		return
	}
	presigned := r.URL.Query().Has("X-Amz-Signature")
	if !presigned && !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+s3Key+"/") {
		refuse(w, r, http.StatusForbidden, "AccessDenied")
		return
	}
	if key == "" { // of the bucket itself
		w.WriteHeader(http.StatusOK)
		return
	}
	o, there := s.objects[key]
	switch {
	case r.Method == http.MethodPut && presigned && !signatureMatches(r):
		refuse(w, r, http.StatusForbidden, "SignatureDoesNotMatch")
	case r.Method == http.MethodPut && r.Header.Get("If-None-Match") == "*" && there:
		refuse(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == http.MethodPut:
		body, err := payload(r)
		if err != nil {
			refuse(w, r, http.StatusBadRequest, "IncompleteBody")
			return
		}
		o = object{r.Header.Get("Content-Type"), body}
		s.objects[key] = o
		w.Header().Set("ETag", o.etag())
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		refuse(w, r, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("ETag", o.etag())
		w.Header().Set("Content-Type", o.contentType)
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(o.body))
	}
}

func (o object) etag() string { return fmt.Sprintf(`"%x"`, md5.Sum(o.body)) }

func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	}
}

func signatureMatches(r *http.Request) bool {
	q := r.URL.Query()
	given := q.Get("X-Amz-Signature")
	q.Del("X-Amz-Signature")
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	expires, err2 := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || err2 != nil || time.Now().After(at.Add(time.Duration(expires)*time.Second)) {
		return false
	}
	signed := strings.Split(q.Get("X-Amz-SignedHeaders"), ";")
	slices.Sort(signed)
	var headers strings.Builder
	for _, name := range signed {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	canonical := strings.Join([]string{r.Method, (&url.URL{Path: r.URL.Path}).EscapedPath(), strings.ReplaceAll(q.Encode(), "+", "%20"),
		headers.String(), strings.Join(signed, ";"), "UNSIGNED-PAYLOAD"}, "\n")
	day := at.Format("20060102")
	text := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s/us-east-1/s3/aws4_request\n%x", q.Get("X-Amz-Date"), day, sha256.Sum256([]byte(canonical)))
	key := []byte("AWS4" + s3Secret)
	for _, part := range []string{day, "us-east-1", "s3", "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key) == given
}

// payload reads the body, which clients without TLS send in chunks with a signature each.
func payload(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.ReadAll(r.Body)
	}
	in := bufio.NewReader(r.Body)
	var body []byte
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 32)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		chunk := make([]byte, n+2) // and the end of the line
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, err
		}
		body = append(body, chunk[:n]...)
	}
	if want := r.Header.Get("X-Amz-Decoded-Content-Length"); want != strconv.Itoa(len(body)) {
		return nil, fmt.Errorf("%d bytes instead of %s", len(body), want)
	}
	return body, nil
}
