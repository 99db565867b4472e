package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// A bucket keeps files in S3, or in what speaks its protocol. Its policy must let everybody read media/*, and its CORS
// rules must let the storefront PUT.
type bucket struct {
	s3     *minio.Client
	name   string
	public *url.URL
}

func openBucket(at *url.URL) (*bucket, error) {
	q := at.Query()
	secret, _ := at.User.Password()
	name := strings.Trim(at.Path, "/")
	if at.Host == "" || name == "" || strings.Contains(name, "/") || at.User.Username() == "" {
		return nil, errors.New("a bucket is named s3://key:secret@host/bucket?region=…&secure=true")
	}
	secure := true
	if v := q.Get("secure"); v != "" {
		var err error
		if secure, err = strconv.ParseBool(v); err != nil {
			return nil, fmt.Errorf("secure=%q is neither true nor false", v)
		}
	}
	s3, err := minio.New(at.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(at.User.Username(), secret, ""),
		Secure: secure,
		Region: q.Get("region"),
	})
	if err != nil {
		return nil, err
	}
	b := &bucket{s3: s3, name: name, public: s3.EndpointURL().JoinPath(name)}
	if cdn := q.Get("public"); cdn != "" {
		if b.public, err = url.Parse(cdn); err != nil {
			return nil, fmt.Errorf("public: %w", err)
		}
	}
	return b, nil
}

func (b *bucket) Ping(ctx context.Context) error {
	there, err := b.s3.BucketExists(ctx, b.name)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("there is no bucket %s", b.name)
	}
	return nil
}

func (b *bucket) PublicURL(key string) string { return b.public.JoinPath(key).String() }

// SignUpload signs the length and the type too, and asks S3 to refuse a key that is there already.
func (b *bucket) SignUpload(ctx context.Context, key, contentType string, size int64, expires time.Duration) (string, map[string]string, error) {
	if err := checkKey(key); err != nil {
		return "", nil, err
	}
	headers := map[string]string{"Content-Type": contentType, "If-None-Match": "*"}
	signed := http.Header{"Content-Length": {strconv.FormatInt(size, 10)}} // which every client sends by itself
	for k, v := range headers {
		signed.Set(k, v)
	}
	at, err := b.s3.PresignHeader(ctx, http.MethodPut, b.name, key, expires, nil, signed)
	if err != nil {
		return "", nil, fmt.Errorf("sign upload: %w", err)
	}
	return at.String(), headers, nil
}

func (b *bucket) Put(ctx context.Context, key, contentType string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	exact := &exactly{r: r, left: size}
	_, err := b.s3.PutObject(ctx, b.name, key, exact, size, minio.PutObjectOptions{
		ContentType: contentType, CacheControl: "public, max-age=31536000, immutable",
	})
	if exact.wrong {
		return ErrSize
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// exactly fails when the reader has more or fewer bytes than it was said to have.
type exactly struct {
	r     io.Reader
	left  int64
	wrong bool
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if e.left < 0 || (errors.Is(err, io.EOF) && e.left > 0) {
		e.wrong = true
		return 0, ErrSize
	}
	return n, err
}

func (b *bucket) Open(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	if err := checkKey(key); err != nil {
		return nil, Info{}, err
	}
	object, err := b.s3.GetObject(ctx, b.name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, Info{}, why(key, err)
	}
	st, err := object.Stat()
	if err != nil {
		return nil, Info{}, errors.Join(why(key, err), object.Close())
	}
	return object, infoOf(st), nil
}

func (b *bucket) Stat(ctx context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	st, err := b.s3.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		return Info{}, why(key, err)
	}
	return infoOf(st), nil
}

func (b *bucket) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := b.s3.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func infoOf(st minio.ObjectInfo) Info {
	return Info{Size: st.Size, ContentType: st.ContentType, ETag: `"` + strings.Trim(st.ETag, `"`) + `"`}
}

func why(key string, err error) error {
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return ErrNotFound
	}
	return fmt.Errorf("%s: %w", key, err)
}
