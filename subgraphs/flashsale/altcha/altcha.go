// Package altcha sets proof-of-work challenges in the format of ALTCHA (https://altcha.org), so that its widgets solve them, and checks
// what they send back.
//
// A challenge names its sale, its account and its end inside the salt, which the signature covers. To check a solution costs two hashes
// and one look at who spent it before, whatever it cost to find; nothing is kept of a challenge that nobody solves.
package altcha

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/altcha-org/altcha-lib-go"

	"github.com/souk-shop/souk/internal/once"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

const (
	life     = 5 * time.Minute // enough for a slow phone, and too short to hoard for
	leeway   = time.Minute     // that a spent one is remembered beyond its end, for clocks that disagree
	saltSize = 12              // random bytes
	longest  = 4 << 10         // bytes of a payload
	hardest  = 100_000_000
)

// Challenger sets and checks challenges. Any number of machines with the same secrets and store are one.
type Challenger struct {
	secrets []string
	spent   once.Store
}

var _ flashsale.Challenger = (*Challenger)(nil)

// New returns a Challenger that signs with the first secret and accepts what any of them signed.
func New(spent once.Store, secrets ...[]byte) *Challenger {
	c := &Challenger{spent: spent}
	for _, s := range secrets {
		c.secrets = append(c.secrets, string(s))
	}
	return c
}

// Issue sets an account work for a sale. The difficulty is how many numbers there are to try, half of which it takes on average.
func (c *Challenger) Issue(saleID, accountID string, difficulty int, now time.Time) (flashsale.Challenge, error) {
	if difficulty < 1 || difficulty > hardest {
		return flashsale.Challenge{}, fmt.Errorf("altcha: a difficulty of %d", difficulty)
	}
	expires := now.Add(life)
	made, err := altcha.CreateChallenge(altcha.ChallengeOptions{
		Algorithm: altcha.SHA256, MaxNumber: int64(difficulty), SaltLength: saltSize, HMACKey: c.secrets[0], Expires: &expires,
		Params: url.Values{"sale": {saleID}, "account": {accountID}},
	})
	if err != nil {
		return flashsale.Challenge{}, fmt.Errorf("altcha: %w", err)
	}
	return flashsale.Challenge{
		Algorithm: made.Algorithm, Challenge: made.Challenge, Salt: made.Salt, Signature: made.Signature, MaxNumber: made.MaxNumber,
		ExpiresAt: time.Unix(expires.Unix(), 0).UTC(),
	}, nil
}

// Verify returns nil once for each challenge that was set to this account for this sale and is solved in time.
func (c *Challenger) Verify(ctx context.Context, saleID, accountID, payload string, now time.Time) error {
	p, err := parse(payload)
	if err != nil {
		return failed("the solution cannot be read: it is what ALTCHA's widget sends, base64 of JSON")
	}
	if !c.signed(p) {
		return failed("the challenge is not one of ours, or the number does not solve it")
	}
	terms, err := termsOf(p)
	switch {
	case err != nil: // signed by us, for something else
		return failed("the challenge is not one of ours")
	case terms.sale != saleID:
		return failed("the challenge is for another sale")
	case terms.account != accountID:
		return failed("the challenge is for another account")
	case !now.Before(terms.expires):
		return failed("the challenge has run out: ask for a new one")
	}
	me := rand.Text()
	holder, err := c.spent.Claim(ctx, "altcha:"+p.Challenge, me, terms.expires.Sub(now)+leeway)
	switch {
	case err != nil:
		return fmt.Errorf("altcha: %w", err)
	case holder != me:
		return failed("the challenge was used before: ask for a new one")
	}
	return nil
}

func failed(why string) error { return flashsale.ErrChallengeFailed.Says("%s", why) }

func (c *Challenger) signed(p altcha.Payload) bool {
	for _, secret := range c.secrets {
		if ok, err := altcha.VerifySolutionSafe(p, secret, false); ok && err == nil {
			return true
		}
	}
	return false
}

// parse reads what a widget sends; what it says is yet to be believed.
func parse(payload string) (altcha.Payload, error) {
	var p altcha.Payload
	if len(payload) > longest {
		return p, errors.New("too long")
	}
	text, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, err
	}
	if p.Algorithm != string(altcha.SHA256) { // the sender names it, so it must not choose it
		return p, fmt.Errorf("algorithm %q", p.Algorithm)
	}
	return p, nil
}

// terms are what a salt says of its challenge.
type terms struct {
	sale, account string
	expires       time.Time
}

func termsOf(p altcha.Payload) (terms, error) {
	_, query, ok := strings.Cut(p.Salt, "?")
	if !ok {
		return terms{}, errors.New("no terms")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return terms{}, err
	}
	expires, err := strconv.ParseInt(values.Get("expires"), 10, 64)
	return terms{sale: values.Get("sale"), account: values.Get("account"), expires: time.Unix(expires, 0)}, err
}

// Solve does the work of a widget, for tests and loads.
func Solve(ctx context.Context, c flashsale.Challenge) (payload string, err error) {
	want, err := hex.DecodeString(c.Challenge)
	if err != nil || len(want) != sha256.Size {
		return "", fmt.Errorf("altcha: %q is no challenge", c.Challenge)
	}
	text := []byte(c.Salt)
	for n := int64(0); n <= c.MaxNumber; n++ {
		if n%4_096 == 0 && ctx.Err() != nil {
			return "", ctx.Err()
		}
		if sha256.Sum256(strconv.AppendInt(text[:len(c.Salt)], n, 10)) == [sha256.Size]byte(want) {
			return encode(c, n)
		}
	}
	return "", errors.New("altcha: no number solves it")
}

func encode(c flashsale.Challenge, number int64) (string, error) {
	text, err := json.Marshal(altcha.Payload{Algorithm: c.Algorithm, Challenge: c.Challenge, Number: number, Salt: c.Salt, Signature: c.Signature})
	return base64.StdEncoding.EncodeToString(text), err
}
