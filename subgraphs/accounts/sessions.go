package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

const (
	accessLife  = 10 * time.Minute
	sessionLife = 30 * 24 * time.Hour
	sessionID   = id.Prefix("ses")
)

// A Session is a sign-in on one device, as its owner sees it once.
type Session struct {
	AccessToken  string
	RefreshToken string
	ExpiresAt    time.Time // of the access token
	Account      Account
}

// A TokenHash is all that is kept of a refresh token. The token is 256 random bits, so a plain hash cannot be guessed back.
type TokenHash [sha256.Size]byte

// HashOf returns what is kept of a refresh token.
func HashOf(refreshToken string) TokenHash { return sha256.Sum256([]byte(refreshToken)) }

// A Grant is a session as it is kept, with the only refresh token that works.
type Grant struct {
	SessionID string
	AccountID string
	Token     TokenHash
	At        time.Time // when the token was made
	ExpiresAt time.Time // of the session
}

// Claims are what an access token says of its bearer.
type Claims struct {
	AccountID string
	SessionID string
	SellerID  string // "" = sells nothing
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Passwords turns passwords into hashes that nobody can turn back.
type Passwords interface {
	// Hash returns a hash of the password to keep.
	Hash(ctx context.Context, password string) (string, error)
	// Verify tells whether the password made the hash, and whether the hash is weaker than today's. The empty hash is
	// nobody's: nothing matches it, after the same work.
	Verify(ctx context.Context, hash, password string) (match, weak bool, err error)
}

// A Signer makes access tokens.
type Signer interface {
	Sign(c Claims) (string, error)
}

type sessionStore interface {
	OpenSession(ctx context.Context, g Grant) error
	// Rotate uses a refresh token up and makes next the session's only one; of several at once exactly one succeeds.
	// It fills in the grant's session. An unknown token, and one of a session that ended, is ErrBadCredentials; one that was used
	// before is that too, and ends its session: either its owner or a thief holds it for the second time.
	Rotate(ctx context.Context, used TokenHash, next Grant) (Grant, error)
	// EndSession makes the session's refresh token useless. A session that is not there, or another's, is left alone.
	EndSession(ctx context.Context, accountID, sessionID string, at time.Time) error
	// ForgetSessions deletes what expired before a moment.
	ForgetSessions(ctx context.Context, before time.Time) error
}

// ErrBadCredentials never says which half was wrong.
var ErrBadCredentials = fault.New(fault.Invalid, "BAD_CREDENTIALS", "address and password, or refresh token, do not match an account")

// SignIn opens a session. An unknown address costs as much work as a wrong password.
func (a *Accounts) SignIn(ctx context.Context, email, password string) (Session, error) {
	if checkPassword(password) != nil {
		return Session{}, ErrBadCredentials // whoever the account is: nobody can have registered with it
	}
	known := new(Credentials)
	if email, err := checkEmail(email); err == nil {
		found, err := a.store.Credentials(ctx, email)
		if err != nil {
			return Session{}, err
		}
		if found != nil {
			known = found
		}
	}
	match, weak, err := a.passwords.Verify(ctx, known.PasswordHash, password)
	if err != nil {
		return Session{}, err
	}
	if !match {
		return Session{}, ErrBadCredentials
	}
	if weak {
		if err := a.strengthen(ctx, *known, password); err != nil {
			return Session{}, err
		}
	}
	refresh, grant := a.grant(known.Account.ID)
	if err := a.store.OpenSession(ctx, grant); err != nil {
		return Session{}, err
	}
	return a.session(known.Account, grant, refresh)
}

// strengthen hashes the password anew. When there is no room for the work it is left for the next sign-in.
func (a *Accounts) strengthen(ctx context.Context, known Credentials, password string) error {
	hash, err := a.passwords.Hash(ctx, password)
	if fault.KindOf(err) == fault.Unavailable {
		return nil
	}
	if err != nil {
		return err
	}
	return a.store.ReplaceHash(ctx, known.Account.ID, known.PasswordHash, hash)
}

// Refresh trades a refresh token for a new session, which lasts as long as the old one would have.
func (a *Accounts) Refresh(ctx context.Context, refreshToken string) (Session, error) {
	refresh, next := a.grant("")
	grant, err := a.store.Rotate(ctx, HashOf(refreshToken), next)
	if err != nil {
		return Session{}, err
	}
	found, err := a.AccountsByID(ctx, []string{grant.AccountID})
	if err != nil {
		return Session{}, err
	}
	if len(found) == 0 {
		return Session{}, ErrBadCredentials
	}
	return a.session(found[0], grant, refresh)
}

// SignOut ends the viewer's session. Doing it again changes nothing.
func (a *Accounts) SignOut(ctx context.Context, who viewer.Viewer) error {
	if !who.SignedIn() {
		return ErrSignIn
	}
	return a.store.EndSession(ctx, who.AccountID, who.SessionID, a.clock.Now())
}

// ForgetSessions deletes sessions that ended by themselves.
func (a *Accounts) ForgetSessions(ctx context.Context) error {
	return a.store.ForgetSessions(ctx, a.clock.Now())
}

// grant makes a refresh token and the session to keep for it.
func (a *Accounts) grant(accountID string) (refreshToken string, g Grant) {
	secret := make([]byte, 32)
	rand.Read(secret)
	refreshToken = base64.RawURLEncoding.EncodeToString(secret)
	now := a.clock.Now()
	return refreshToken, Grant{
		SessionID: id.New(sessionID), AccountID: accountID, Token: HashOf(refreshToken), At: now, ExpiresAt: now.Add(sessionLife),
	}
}

// session makes the access token of a grant. It says what the account may do now and ends with the session at the latest.
func (a *Accounts) session(of Account, g Grant, refreshToken string) (Session, error) {
	issued := g.At.Truncate(time.Second) // a token tells whole seconds
	expires := issued.Add(accessLife)
	if g.ExpiresAt.Before(expires) {
		expires = g.ExpiresAt.Truncate(time.Second)
	}
	access, err := a.signer.Sign(Claims{
		AccountID: of.ID, SessionID: g.SessionID, SellerID: of.SellerID, Scopes: of.scopes(), IssuedAt: issued, ExpiresAt: expires,
	})
	of.signedIn = true
	return Session{access, refreshToken, expires, of}, err
}
