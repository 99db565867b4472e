package psp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far the time of a signature may be from ours.
const Tolerance = 5 * time.Minute

// Sign returns the header that vouches for a body: t=SECONDS,v1=HEX, a HMAC-SHA256 over SECONDS.BODY.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

// Verify returns ErrSignature unless the header vouches for the body. While a secret is being changed there may be
// several v1; one of them has to fit.
func Verify(secret []byte, header string, body []byte, now time.Time) error {
	var t string
	var signatures [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			t = value
		case "v1":
			if s, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, s)
			}
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || len(secret) == 0 {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return ErrSignature
	}
	want := mac(secret, t, body)
	for _, s := range signatures {
		if hmac.Equal(s, want) { // in constant time
			return nil
		}
	}
	return ErrSignature
}

func mac(secret []byte, t string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(t))
	h.Write([]byte{'.'})
	h.Write(body)
	return h.Sum(nil)
}
