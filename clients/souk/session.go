package souk

import (
	"context"
	"sync"
	"time"

	"github.com/souk-shop/souk/frontends"
)

// session is what a client is signed in with. It renews itself before it ends.
type session struct {
	mu      sync.Mutex
	access  string
	refresh string // "" when it cannot be renewed
	ends    time.Time
}

const renewBefore = time.Minute // the end of a token

// As returns a client that calls with an access token.
func (c *Client) As(accessToken string) *Client {
	signedIn := *c
	signedIn.session = &session{access: accessToken}
	return &signedIn
}

// SignIn returns a client that is signed in, for as long as it is used.
func (c *Client) SignIn(ctx context.Context, email, password string) (*Client, error) {
	answer, err := Do[struct {
		SessionCreate struct {
			Session    tokens
			UserErrors UserErrors
		}
	}](ctx, c, frontends.Operation("web/SignIn"), map[string]any{"input": map[string]any{"email": email, "password": password}})
	if err != nil {
		return nil, err
	}
	if err := answer.SessionCreate.UserErrors.Err(); err != nil {
		return nil, err
	}
	s := answer.SessionCreate.Session
	signedIn := *c
	signedIn.session = &session{access: s.AccessToken, refresh: s.RefreshToken, ends: s.ExpiresAt}
	return &signedIn, nil
}

type tokens struct {
	AccessToken, RefreshToken string
	ExpiresAt                 time.Time
}

// token returns an access token that is good for a while, "" for a guest.
func (s *session) token(ctx context.Context, c *Client) (string, error) {
	if s == nil {
		return "", nil
	}
	s.mu.Lock() // held while renewing: a refresh token works once, so one caller renews for all
	defer s.mu.Unlock()
	if s.refresh == "" || time.Until(s.ends) > renewBefore {
		return s.access, nil
	}
	guest := *c
	guest.session = nil
	answer, err := Do[struct {
		SessionRefresh struct {
			Session    tokens
			UserErrors UserErrors
		}
	}](ctx, &guest, frontends.Operation("web/SessionRefresh"), map[string]any{"refreshToken": s.refresh})
	if err == nil {
		err = answer.SessionRefresh.UserErrors.Err()
	}
	if err != nil {
		return "", err
	}
	fresh := answer.SessionRefresh.Session
	s.access, s.refresh, s.ends = fresh.AccessToken, fresh.RefreshToken, fresh.ExpiresAt
	return s.access, nil
}
