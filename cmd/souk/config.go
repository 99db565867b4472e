package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
)

// A setting is one environment variable that souk reads.
type setting struct {
	name, otherwise, help string
	secret                bool
}

// settings is every variable, with what holds without it. Beside these, SOUK_<PART>_POSTGRES_URL overrides the
// common PostgreSQL for one subgraph, SOUK_<PART>_ADDR where a part listens, and SOUK_<PART>_URL where the gateway finds it.
var settings = []setting{
	{name: "SOUK_ADDR", help: "where the part listens, or the gateway when there are several"},
	{name: "SOUK_PRIVATE_ADDR", otherwise: "127.0.0.1:9090", help: "where the gateway shows /metrics, never to the public; when it is set, any process does"},
	{name: "SOUK_POSTGRES_URL", secret: true, help: "PostgreSQL; each subgraph keeps to a schema of its own"},
	{name: "SOUK_MONGO_URL", secret: true, help: "MongoDB of the catalogue"},
	{name: "SOUK_TYPESENSE_URL", help: "Typesense of the search"},
	{name: "SOUK_TYPESENSE_KEY", secret: true, help: "key of Typesense"},
	{name: "SOUK_NATS_URL", secret: true, help: "NATS with JetStream"},
	{name: "SOUK_BLOB_URL", secret: true, help: "pictures and feeds: file:///folder?… or s3://key:secret@host/bucket?…"},
	{name: "SOUK_PASSPORT_KEY", secret: true, help: "what gateway and subgraphs sign with, 32 characters or more"},
	{name: "SOUK_RATE_ACCOUNT", otherwise: "500/20000", help: "what an account may ask the gateway for: points per second/burst, or off; 1000000/10000000 in souk dev"},
	{name: "SOUK_RATE_IP", otherwise: "500/20000", help: "what an address, or a /64 of IPv6, may ask for, signed in or not"},
	{name: "SOUK_RATE_SALE", otherwise: "10000/50000", help: "how often one flash sale may be joined and booked in, by all callers together: times per second/burst, or off"},
	{name: "SOUK_SUBGRAPH_TIMEOUT", otherwise: "10s", help: "how long the gateway waits for a subgraph's answer"},
	{name: "SOUK_TRUSTED_PROXIES", otherwise: "0", help: "how many proxies in front of the gateway add to X-Forwarded-For; 0 believes the socket"},
	{name: "SOUK_REDIS_URL", secret: true, help: "Redis in which gateways share budgets, and flash sales what was spent; without one each process counts by itself"},
	{name: "SOUK_FLASHSALE_SECRETS", secret: true, help: "what challenges and admissions of flash sales are signed with, 32 characters or more each, separated by commas: the first signs, all are accepted; made of the passport key without it"},
	{name: "SOUK_TURNSTILE_SECRET", secret: true, help: "of Cloudflare's Turnstile, which then has a say at the door of a flash sale"},
	{name: "SOUK_TURNSTILE_POLICY", otherwise: "both", help: "what opens that door: both a solved challenge and Turnstile's token, or either"},
	{name: "SOUK_DOCUMENTS", help: "file of the GraphQL documents that the shop's own clients were built with, which they may name instead of sending: Apollo's manifest, or texts by id"},
	{name: "SOUK_DOCUMENTS_ONLY", otherwise: "false", help: "true answers no other document"},
	{name: "SOUK_JWKS_URL", otherwise: "http://accounts:4000/.well-known/jwks.json", help: "public keys of access tokens"},
	{name: "SOUK_PSP", otherwise: "fake", help: "payment provider: fake, fake:FILE for one whose books outlive the process, or fake:URL for one that runs elsewhere"},
	{name: "SOUK_PSP_WEBHOOK_SECRET", secret: true, help: "what the payment provider signs its webhooks with"},
	{name: "SOUK_COURIER", otherwise: "fake", help: "courier; fake is the only one so far"},
	{name: "SOUK_ORDER_EXPIRY", otherwise: "15m", help: "how long an order waits for its payment"},
	{name: "SOUK_RETENTION", otherwise: "720h", help: "how long idempotency keys, finished imports with their refused rows, uploads and what payments noted beside the ledger are kept: 720h, which the schema promises, or longer"},
	{name: "SOUK_LOG_FORMAT", otherwise: "text", help: "text or json"},
	{name: "SOUK_LOG_LEVEL", otherwise: "info", help: "debug, info, warn or error"},
	{name: "OTEL_EXPORTER_OTLP_ENDPOINT", help: "where traces go; nowhere without it"},
}

// A config is the environment, with what holds where it is silent.
type config struct{ getenv func(string) string }

// get returns a setting; asking for one that is not listed is a bug.
func (c config) get(name string) string {
	for _, s := range settings {
		if s.name == name {
			return or(c.getenv(name), s.otherwise)
		}
	}
	panic("souk reads no setting " + name)
}

// need returns a setting that has to be there.
func (c config) need(name string) (string, error) {
	if v := c.get(name); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("%s is not set", name)
}

// of returns a part's own setting: SOUK_<PART>_<WHAT>.
func (c config) of(part, what string) string {
	return c.getenv("SOUK_" + strings.ToUpper(part) + "_" + what)
}

// postgresURL returns where a subgraph keeps its tables.
func (c config) postgresURL(part string) (string, error) {
	if own := c.of(part, "POSTGRES_URL"); own != "" {
		return own, nil
	}
	return c.need("SOUK_POSTGRES_URL")
}

// addr returns where a part listens. Several parts in one process need an address each; only the gateway's may be the common one.
func (c config) addr(part string, alone bool) string {
	if own := c.of(part, "ADDR"); own != "" {
		return own
	}
	if alone || part == "gateway" {
		return or(c.get("SOUK_ADDR"), "127.0.0.1:4000")
	}
	return "127.0.0.1:0"
}

// passportKey returns what gateway and subgraphs sign with.
func (c config) passportKey() ([]byte, error) {
	key, err := c.need("SOUK_PASSPORT_KEY")
	if err == nil && len(key) < 32 {
		err = errors.New("SOUK_PASSPORT_KEY has fewer than 32 characters")
	}
	return []byte(key), err
}

// orderExpiry returns how long an order waits for its payment.
func (c config) orderExpiry() (time.Duration, error) {
	d, err := time.ParseDuration(c.get("SOUK_ORDER_EXPIRY"))
	if err != nil || d < time.Second || d > 24*time.Hour {
		return 0, fmt.Errorf("SOUK_ORDER_EXPIRY: %q is not a time from 1s to 24h", c.get("SOUK_ORDER_EXPIRY"))
	}
	return d, nil
}

// retention returns how long what is there for repeats and for looking back is kept. Clients are promised the least of it.
func (c config) retention() (time.Duration, error) {
	d, err := time.ParseDuration(c.get("SOUK_RETENTION"))
	if err != nil || d < 30*24*time.Hour || d > 10*365*24*time.Hour {
		return 0, fmt.Errorf("SOUK_RETENTION: %q is not a time from 720h, which is 30 days, to 87600h", c.get("SOUK_RETENTION"))
	}
	return d, nil
}

// subgraphTimeout returns how long the gateway waits for a subgraph; it waits for a whole operation no longer than 30 s.
func (c config) subgraphTimeout() (time.Duration, error) {
	d, err := time.ParseDuration(c.get("SOUK_SUBGRAPH_TIMEOUT"))
	if err != nil || d < 100*time.Millisecond || d > 30*time.Second {
		return 0, fmt.Errorf("SOUK_SUBGRAPH_TIMEOUT: %q is not a time from 100ms to 30s", c.get("SOUK_SUBGRAPH_TIMEOUT"))
	}
	return d, nil
}

type configCommand struct{}

// Run prints every setting as it holds, secrets masked.
func (configCommand) Run(p *process) error {
	c := config{p.getenv}
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	for _, s := range settings {
		value := c.get(s.name)
		if s.secret {
			value = mask(value)
		}
		fmt.Fprintf(w, "%s\t%s\t# %s\n", s.name, value, s.help)
	}
	return w.Flush()
}

// mask hides a secret: of a URL the password and the query, of anything else all.
func mask(secret string) string {
	if secret == "" {
		return ""
	}
	u, err := url.Parse(secret)
	if err != nil || u.Scheme == "" {
		return "****"
	}
	if u.User != nil {
		u.User = url.UserPassword("****", "****")
	}
	if u.RawQuery != "" {
		u.RawQuery = "****"
	}
	return u.String()
}
